#ifndef INFENG_CC_BASE_STATUS_H_
#define INFENG_CC_BASE_STATUS_H_

#include <string>
#include <utility>
#include <variant>

namespace infeng {

enum class StatusCode {
  kOk,
  kInvalidArgument,    // the caller's value is wrong: a flag, a shape, an id
  kNotFound,           // the thing named does not exist
  kDataLoss,           // a file is damaged or not what it claims to be
  kUnavailable,        // this machine or build cannot do it
  kResourceExhausted,  // memory
  kInternal,           // a bug of ours
};

// Success, or a code and one line for people: what, where, expected and found.
class [[nodiscard]] Status {
 public:
  Status() = default;  // success
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const& { return message_; }
  // By value, so that the message of a temporary outlives it.
  std::string message() && { return std::move(message_); }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status InvalidArgument(std::string message) {
  return {StatusCode::kInvalidArgument, std::move(message)};
}
inline Status NotFound(std::string message) { return {StatusCode::kNotFound, std::move(message)}; }
inline Status DataLoss(std::string message) { return {StatusCode::kDataLoss, std::move(message)}; }
inline Status Unavailable(std::string message) {
  return {StatusCode::kUnavailable, std::move(message)};
}
inline Status ResourceExhausted(std::string message) {
  return {StatusCode::kResourceExhausted, std::move(message)};
}
inline Status Internal(std::string message) { return {StatusCode::kInternal, std::move(message)}; }

namespace status_internal {
[[noreturn]] void Die(const char* what, const Status& status);
}  // namespace status_internal

// A T, or the Status that says why there is none. Taking the value of a failure is a bug: it
// prints the message and aborts, so ask ok() first.
template <class T>
class [[nodiscard]] StatusOr {
 public:
  // Not explicit: `return value;` and `return status;` both read well.
  // NOLINTNEXTLINE(google-explicit-constructor)
  StatusOr(T value) : held_(std::in_place_index<1>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  StatusOr(Status status) : held_(std::in_place_index<0>, std::move(status)) {
    if (error().ok()) status_internal::Die("a StatusOr was made of success", error());
  }

  bool ok() const { return held_.index() == 1; }
  Status status() const { return ok() ? Status() : error(); }

  T& value() & {
    Check();
    return *std::get_if<1>(&held_);
  }
  const T& value() const& {
    Check();
    return *std::get_if<1>(&held_);
  }
  // By value, as message() is.
  T value() && { return std::move(value()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  const Status& error() const { return *std::get_if<0>(&held_); }
  void Check() const {
    if (!ok()) status_internal::Die("the value of a failure was taken", error());
  }

  std::variant<Status, T> held_;
};

}  // namespace infeng

#define INFENG_RETURN_IF_ERROR(expr)                                    \
  do {                                                                  \
    if (::infeng::Status infeng_status = (expr); !infeng_status.ok()) { \
      return infeng_status;                                             \
    }                                                                   \
  } while (false)

// INFENG_ASSIGN_OR_RETURN(const Tier tier, ParseTier(name));
#define INFENG_ASSIGN_OR_RETURN(lhs, expr) \
  INFENG_ASSIGN_OR_RETURN_(INFENG_CONCAT_(infeng_status_or_, __LINE__), lhs, expr)
#define INFENG_ASSIGN_OR_RETURN_(held, lhs, expr) \
  auto held = (expr);                             \
  if (!held.ok()) return held.status();           \
  lhs = std::move(held).value()
#define INFENG_CONCAT_(a, b) INFENG_CONCAT_INNER_(a, b)
#define INFENG_CONCAT_INNER_(a, b) a##b

#endif  // INFENG_CC_BASE_STATUS_H_
