#ifndef INFENG_CC_FORMAT_JSON_FIELDS_H_
#define INFENG_CC_FORMAT_JSON_FIELDS_H_

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cc/base/status.h"

namespace infeng {

// Parses one JSON text, nested at most `max_depth` deep. Error: DataLoss "WHERE: ...".
StatusOr<nlohmann::json> ParseJson(std::string_view text, int max_depth, const std::string& where);

// "expected X, found Y" for a value at a place. Error code: DataLoss.
Status Unexpected(const std::string& where, const std::string& expected,
                  const nlohmann::json& found);

// A value that must be an integer from `least` to `most`.
StatusOr<uint64_t> AsInteger(const nlohmann::json& value, uint64_t least, uint64_t most,
                             const std::string& where);

// A value that must be a positive number, finite also when rounded to float.
StatusOr<double> AsPositiveNumber(const nlohmann::json& value, const std::string& where);

// The fields of a JSON object with their types checked. Each error is DataLoss and begins with the
// field's place, such as "header.config.head_dim". Borrows the value.
class JsonFields {
 public:
  // Error: the value is not an object.
  static StatusOr<JsonFields> Of(const nlohmann::json& value, std::string where);

  // All fields are required.
  StatusOr<const nlohmann::json*> Get(const char* key) const;
  StatusOr<std::string> String(const char* key) const;
  StatusOr<bool> Bool(const char* key) const;
  StatusOr<uint64_t> Integer(const char* key, uint64_t least, uint64_t most) const;
  StatusOr<double> PositiveNumber(const char* key) const;
  StatusOr<const nlohmann::json*> Array(const char* key) const;
  StatusOr<JsonFields> Object(const char* key) const;

  // Error: there is another field than these.
  Status Only(std::initializer_list<std::string_view> keys) const;

  // The place of a field, for messages.
  std::string Where(const char* key) const;
  const std::string& where() const { return where_; }

 private:
  JsonFields(const nlohmann::json* object, std::string where)
      : object_(object), where_(std::move(where)) {}

  const nlohmann::json* object_;
  std::string where_;
};

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_JSON_FIELDS_H_
