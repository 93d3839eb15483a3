#ifndef INFENG_CC_FORMAT_HEADER_H_
#define INFENG_CC_FORMAT_HEADER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cc/base/status.h"
#include "cc/format/config.h"

namespace infeng {

// Where a piece of the file lies, as the header claims.
struct Extent {
  std::string what;  // for messages: "section tokenizer.json", "tensor NAME: scale"
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t sum = 0;
};

struct SectionEntry {
  std::string name;
  Extent data;
};

struct TensorEntry {
  std::string name;
  std::string dtype;
  std::string layout;
  std::vector<uint64_t> shape;
  Extent data;
  // For dtypes "i8" and "u4" only:
  uint64_t group = 0;
  int activation_digits = 0;
  Extent scale;
};

// The header as it stands: form, types and the config are checked, the rest only makes sense once
// it has been compared with the architecture and the file.
struct Header {
  std::string recipe;
  ModelConfig config;
  std::vector<SectionEntry> sections;
  std::vector<TensorEntry> tensors;
};

// The header of kind "model" and architecture "llama" or "decoder". Error: DataLoss, without the
// file's name.
StatusOr<Header> ParseHeader(std::string_view json);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_HEADER_H_
