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
  if (!extent->is_object() || !extent->contains("xxh3")) return;
  const json offset = extent->value("offset", json());
  const json bytes = extent->value("bytes", json());
  if (!offset.is_number_unsigned() || !bytes.is_number_unsigned()) return;
  if (offset.get<uint64_t>() > file.size()) return;
  (*extent)["xxh3"] =
      HexSum(Xxh3(std::string_view(file).substr(offset.get<uint64_t>(), bytes.get<uint64_t>())));
}

}  // namespace

uint64_t HeaderBytes(const std::string& file) { return Load(file, 8); }

json HeaderOf(const std::string& file) {
  return json::parse(std::string_view(file).substr(kPrelude, HeaderBytes(file)));
}

void ReplaceHeader(std::string* file, std::string_view text) {
  const size_t old = HeaderBytes(*file);
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
  Store(file, 24, Xxh3(std::string_view(*file).substr(kPrelude, HeaderBytes(*file))));
  Store(file, 56, Xxh3(std::string_view(*file).substr(0, 56)));
}

void ResealSections(std::string* file) {
  json header =
      json::parse(std::string_view(*file).substr(kPrelude, HeaderBytes(*file)), nullptr, false);
  if (header.is_object()) {
    for (const char* list : {"sections", "tensors"}) {
      if (!header.contains(list) || !header[list].is_array()) continue;
      for (json& entry : header[list]) {
        SumExtent(*file, &entry);
        if (!entry.is_object()) continue;
        for (const char* part : {"data", "scale"}) {
          if (entry.contains(part)) SumExtent(*file, &entry[part]);
        }
      }
    }
    const std::string text = header.dump();
    if (text.size() <= file->size() - kPrelude) {
      ReplaceHeader(file, text);
      return;
    }
  }
  Reseal(file);
}

}  // namespace infeng
