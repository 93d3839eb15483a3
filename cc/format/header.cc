#include "cc/format/header.h"

#include <utility>

#include "cc/format/checksum.h"
#include "cc/format/config_fields.h"
#include "cc/format/json_fields.h"
#include "cc/format/quote.h"

namespace infeng {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 8;  // version 1 needs 4
constexpr uint64_t kMaxOffset = uint64_t{1} << 62;
constexpr uint64_t kMinGroup = 32;
constexpr uint64_t kMaxGroup = 1024;
// The integer sum over a group must fit, also for unsigned activations (0 to 255).
static_assert(kMaxGroup * 255 * 127 < (uint64_t{1} << 31));

std::string Indexed(const char* list, size_t i) {
  return std::string("header.") + list + "[" + std::to_string(i) + "]";
}

StatusOr<Extent> ReadExtent(const JsonFields& fields, std::string what) {
  Extent extent;
  extent.what = std::move(what);
  INFENG_ASSIGN_OR_RETURN(extent.offset, fields.Integer("offset", 0, kMaxOffset));
  INFENG_ASSIGN_OR_RETURN(extent.bytes, fields.Integer("bytes", 0, kMaxOffset));
  INFENG_ASSIGN_OR_RETURN(const std::string sum, fields.String("xxh3"));
  const auto parsed = ParseHexSum(sum);
  if (!parsed) return Unexpected(fields.Where("xxh3"), "16 lower-case hexadecimal digits", sum);
  extent.sum = *parsed;
  return extent;
}

struct Named {
  std::string name;
  JsonFields fields;  // at the place 'tensor "NAME"', not at an index of a list
};

StatusOr<Named> ReadName(const json& value, const std::string& where, const char* kind) {
  INFENG_ASSIGN_OR_RETURN(const JsonFields indexed, JsonFields::Of(value, where));
  INFENG_ASSIGN_OR_RETURN(std::string name, indexed.String("name"));
  INFENG_ASSIGN_OR_RETURN(JsonFields fields, JsonFields::Of(value, kind + Quote(name)));
  return Named{std::move(name), std::move(fields)};
}

StatusOr<SectionEntry> ReadSection(const json& value, const std::string& where) {
  INFENG_ASSIGN_OR_RETURN(const Named section_fields, ReadName(value, where, "section "));
  const auto& [name, fields] = section_fields;
  SectionEntry section;
  section.name = name;
  INFENG_ASSIGN_OR_RETURN(section.data, ReadExtent(fields, fields.where()));
  return section;
}

StatusOr<std::vector<uint64_t>> ReadShape(const JsonFields& fields) {
  INFENG_ASSIGN_OR_RETURN(const json* sizes, fields.Array("shape"));
  if (sizes->empty() || sizes->size() > 2) {
    return Unexpected(fields.Where("shape"), "an array of 1 or 2", *sizes);
  }
  std::vector<uint64_t> shape;
  for (const json& size : *sizes) {
    INFENG_ASSIGN_OR_RETURN(const uint64_t checked,
                            AsInteger(size, 1, kMaxSize, fields.Where("shape")));
    shape.push_back(checked);
  }
  return shape;
}

StatusOr<TensorEntry> ReadTensor(const json& value, const std::string& where) {
  INFENG_ASSIGN_OR_RETURN(const Named tensor_fields, ReadName(value, where, "tensor "));
  const auto& [name, fields] = tensor_fields;
  TensorEntry tensor;
  tensor.name = name;
  INFENG_ASSIGN_OR_RETURN(tensor.dtype, fields.String("dtype"));
  INFENG_ASSIGN_OR_RETURN(tensor.layout, fields.String("layout"));
  INFENG_ASSIGN_OR_RETURN(tensor.shape, ReadShape(fields));
  INFENG_ASSIGN_OR_RETURN(const JsonFields data, fields.Object("data"));
  INFENG_ASSIGN_OR_RETURN(tensor.data, ReadExtent(data, fields.where()));
  if (tensor.dtype != "i8" && tensor.dtype != "u4") return tensor;

  INFENG_ASSIGN_OR_RETURN(tensor.group, fields.Integer("group", kMinGroup, kMaxGroup));
  if (tensor.group % kMinGroup != 0) {
    return Unexpected(fields.Where("group"), "a multiple of 32", tensor.group);
  }
  INFENG_ASSIGN_OR_RETURN(const uint64_t digits, fields.Integer("activation_digits", 1, 2));
  tensor.activation_digits = static_cast<int>(digits);
  INFENG_ASSIGN_OR_RETURN(const JsonFields scale, fields.Object("scale"));
  INFENG_ASSIGN_OR_RETURN(tensor.scale, ReadExtent(scale, fields.where() + ": scale"));
  return tensor;
}

// Where the model came from is for people; only its form is checked.
Status CheckSource(const JsonFields& fields) {
  INFENG_ASSIGN_OR_RETURN(const json* source, fields.Array("source"));
  for (size_t i = 0; i < source->size(); ++i) {
    INFENG_ASSIGN_OR_RETURN(const JsonFields file,
                            JsonFields::Of((*source)[i], Indexed("source", i)));
    INFENG_RETURN_IF_ERROR(file.String("file").status());
    INFENG_RETURN_IF_ERROR(file.Integer("bytes", 0, kMaxOffset).status());
    INFENG_RETURN_IF_ERROR(file.String("sha256").status());
  }
  return {};
}

Status CheckIs(const JsonFields& fields, const char* key, const char* expected) {
  INFENG_ASSIGN_OR_RETURN(const std::string found, fields.String(key));
  if (found != expected) return Unexpected(fields.Where(key), Quote(expected), found);
  return {};
}

}  // namespace

StatusOr<Header> ParseHeader(std::string_view text) {
  INFENG_ASSIGN_OR_RETURN(const json value, ParseJson(text, kMaxDepth, "header"));
  INFENG_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(value, "header"));
  INFENG_RETURN_IF_ERROR(CheckIs(fields, "kind", "model"));
  INFENG_ASSIGN_OR_RETURN(const std::string architecture, fields.String("architecture"));
  if (architecture != "llama" && architecture != "decoder") {
    return Unexpected(fields.Where("architecture"), "\"llama\" or \"decoder\"", architecture);
  }
  INFENG_RETURN_IF_ERROR(fields.String("tool").status());
  INFENG_RETURN_IF_ERROR(CheckSource(fields));

  Header header;
  INFENG_ASSIGN_OR_RETURN(header.recipe, fields.String("recipe"));
  INFENG_ASSIGN_OR_RETURN(const JsonFields config, fields.Object("config"));
  INFENG_ASSIGN_OR_RETURN(header.config, ReadConfig(config, architecture == "decoder"));

  INFENG_ASSIGN_OR_RETURN(const json* sections, fields.Array("sections"));
  for (size_t i = 0; i < sections->size(); ++i) {
    INFENG_ASSIGN_OR_RETURN(SectionEntry section,
                            ReadSection((*sections)[i], Indexed("sections", i)));
    header.sections.push_back(std::move(section));
  }
  INFENG_ASSIGN_OR_RETURN(const json* tensors, fields.Array("tensors"));
  for (size_t i = 0; i < tensors->size(); ++i) {
    INFENG_ASSIGN_OR_RETURN(TensorEntry tensor, ReadTensor((*tensors)[i], Indexed("tensors", i)));
    header.tensors.push_back(std::move(tensor));
  }
  return header;
}

}  // namespace infeng
