#ifndef INFENG_CC_BASE_FUNCTION_REF_H_
#define INFENG_CC_BASE_FUNCTION_REF_H_

#include <memory>
#include <type_traits>
#include <utility>

namespace infeng {

template <class Signature>
class FunctionRef;

// A reference to something callable that outlives it, such as a lambda passed as an argument.
// Unlike std::function it never allocates, which matters where a step makes hundreds of them.
template <class Result, class... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> &&
             std::is_invocable_r_v<Result, F&, Args...>)
  // Implicit on purpose: it stands for the callable in a parameter list.
  FunctionRef(F&& f)  // NOLINT(google-explicit-constructor, bugprone-forwarding-reference-overload)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> Result {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  Result (*call_)(void*, Args...);
};

}  // namespace infeng

#endif  // INFENG_CC_BASE_FUNCTION_REF_H_
