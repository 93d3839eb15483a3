#include "cc/format/json_fields.h"

#include <algorithm>
#include <cmath>

#include "cc/format/quote.h"

namespace infeng {
namespace {

using nlohmann::json;

// How deep a JSON text nests, without parsing it: the parser would build what it reads.
int Depth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

// A value in few words. Containers are not written out: they may be of any size.
std::string Describe(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return "null";
    case json::value_t::object:
      return "an object";
    case json::value_t::array:
      return "an array of " + std::to_string(value.size());
    case json::value_t::string:
      return Quote(*value.get_ptr<const json::string_t*>());
    case json::value_t::boolean:
      return *value.get_ptr<const bool*>() ? "true" : "false";
    default:
      return value.dump();
  }
}

}  // namespace

StatusOr<json> ParseJson(std::string_view text, int max_depth, const std::string& where) {
  if (const int depth = Depth(text); depth > max_depth) {
    return DataLoss(where + ": the JSON nests " + std::to_string(depth) +
                    " deep, expected at most " + std::to_string(max_depth));
  }
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return DataLoss(where + ": is not valid JSON");
  return value;
}

Status Unexpected(const std::string& where, const std::string& expected, const json& found) {
  return DataLoss(where + ": expected " + expected + ", found " + Describe(found));
}

StatusOr<uint64_t> AsInteger(const json& value, uint64_t least, uint64_t most,
                             const std::string& where) {
  const auto* number = value.get_ptr<const json::number_unsigned_t*>();
  if (number == nullptr || *number < least || *number > most) {
    return Unexpected(
        where, "an integer from " + std::to_string(least) + " to " + std::to_string(most), value);
  }
  return *number;
}

StatusOr<double> AsPositiveNumber(const json& value, const std::string& where) {
  const double number = value.is_number() ? value.get<double>() : 0;
  const auto single = static_cast<float>(number);
  if (!(single > 0) || !std::isfinite(single)) {
    return Unexpected(where, "a positive and finite number", value);
  }
  return number;
}

StatusOr<JsonFields> JsonFields::Of(const json& value, std::string where) {
  if (!value.is_object()) return Unexpected(where, "an object", value);
  return JsonFields(&value, std::move(where));
}

std::string JsonFields::Where(const char* key) const { return where_ + "." + key; }

StatusOr<const json*> JsonFields::Get(const char* key) const {
  const auto found = object_->find(key);
  if (found == object_->end()) return DataLoss(Where(key) + ": is missing");
  return &*found;
}

StatusOr<std::string> JsonFields::String(const char* key) const {
  INFENG_ASSIGN_OR_RETURN(const json* value, Get(key));
  const auto* text = value->get_ptr<const json::string_t*>();
  if (text == nullptr) return Unexpected(Where(key), "a string", *value);
  return *text;
}

StatusOr<bool> JsonFields::Bool(const char* key) const {
  INFENG_ASSIGN_OR_RETURN(const json* value, Get(key));
  const auto* flag = value->get_ptr<const json::boolean_t*>();
  if (flag == nullptr) return Unexpected(Where(key), "true or false", *value);
  return *flag;
}

StatusOr<uint64_t> JsonFields::Integer(const char* key, uint64_t least, uint64_t most) const {
  INFENG_ASSIGN_OR_RETURN(const json* value, Get(key));
  return AsInteger(*value, least, most, Where(key));
}

StatusOr<double> JsonFields::PositiveNumber(const char* key) const {
  INFENG_ASSIGN_OR_RETURN(const json* value, Get(key));
  return AsPositiveNumber(*value, Where(key));
}

Status JsonFields::Only(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : object_->items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return DataLoss(where_ + ": the key " + Quote(key) + " is not known");
    }
  }
  return {};
}

StatusOr<const json*> JsonFields::Array(const char* key) const {
  INFENG_ASSIGN_OR_RETURN(const json* value, Get(key));
  if (!value->is_array()) return Unexpected(Where(key), "an array", *value);
  return value;
}

StatusOr<JsonFields> JsonFields::Object(const char* key) const {
  INFENG_ASSIGN_OR_RETURN(const json* value, Get(key));
  return Of(*value, Where(key));
}

}  // namespace infeng
