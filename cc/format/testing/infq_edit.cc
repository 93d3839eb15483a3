#include "cc/format/testing/infq_edit.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cc/format/checksum.h"

namespace infeng {
namespace {

using nlohmann::json;

constexpr size_t kPrelude = 64;

uint64_t Load(const std::string& file, size_t at) {
  uint64_t value = 0;
  std::memcpy(&value, file.data() + at, sizeof(value));
  return value;
}

void Store(std::string* file, size_t at, uint64_t value) {
  std::memcpy(file->data() + at, &value, sizeof(value));
}

void SumExtent(const std::string& file, json* extent) {
  const auto offset = (*extent)["offset"].get<size_t>();
  const auto bytes = (*extent)["bytes"].get<size_t>();
  (*extent)["xxh3"] = HexSum(Xxh3(std::string_view(file).substr(offset, bytes)));
}

}  // namespace

json HeaderOf(const std::string& file) {
  return json::parse(std::string_view(file).substr(kPrelude, Load(file, 8)));
}

void ReplaceHeader(std::string* file, std::string_view text) {
  const size_t old = Load(*file, 8);
  std::fill_n(file->begin() + kPrelude, std::min(old, file->size() - kPrelude), '\0');
  file->replace(kPrelude, text.size(), text);
  Store(file, 8, text.size());
  Reseal(file);
}

void EditHeader(std::string* file, const std::function<void(json&)>& edit) {
  json header = HeaderOf(*file);
  edit(header);
  ReplaceHeader(file, header.dump());
}

void Reseal(std::string* file) {
  Store(file, 16, file->size());
  Store(file, 24, Xxh3(std::string_view(*file).substr(kPrelude, Load(*file, 8))));
  Store(file, 56, Xxh3(std::string_view(*file).substr(0, 56)));
}

void ResealSections(std::string* file) {
  EditHeader(file, [&](json& header) {
    for (json& section : header["sections"]) SumExtent(*file, &section);
    for (json& tensor : header["tensors"]) {
      SumExtent(*file, &tensor["data"]);
      if (tensor.contains("scale")) SumExtent(*file, &tensor["scale"]);
    }
  });
}

}  // namespace infeng
