#include "cc/format/prelude.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "cc/format/checksum.h"
#include "cc/format/quote.h"

namespace infeng {
namespace {

constexpr std::string_view kMagic = "INFQ";
constexpr size_t kReservedAt = 32;
constexpr size_t kSumAt = 56;

static_assert(std::endian::native == std::endian::little, "INFQ is little-endian");

template <class T>
T Load(std::string_view file, size_t at) {
  T value;
  std::memcpy(&value, file.data() + at, sizeof(value));
  return value;
}

Status SumMismatch(const char* what, uint64_t expected, uint64_t found) {
  return DataLoss(std::string(what) + ": the sum is " + HexSum(found) + ", expected " +
                  HexSum(expected) + ": the file is damaged");
}

}  // namespace

StatusOr<std::string_view> ReadPrelude(std::string_view file) {
  const std::string magic(file.substr(0, kMagic.size()));
  if (magic != kMagic) {
    return DataLoss("not an INFQ file: it begins with " + Quote(magic) + ", expected \"INFQ\"");
  }
  if (file.size() < kPreludeBytes) {
    return DataLoss("prelude: the file has " + std::to_string(file.size()) +
                    " bytes, expected at least " + std::to_string(kPreludeBytes));
  }
  const auto version = Load<uint32_t>(file, 4);
  if (version != kFormatVersion) {
    return DataLoss("prelude: format version " + std::to_string(version) + ", expected " +
                    std::to_string(kFormatVersion));
  }
  const auto expected_sum = Load<uint64_t>(file, kSumAt);
  const uint64_t sum = Xxh3(file.substr(0, kSumAt));
  if (sum != expected_sum) return SumMismatch("prelude", expected_sum, sum);
  if (file.substr(kReservedAt, kSumAt - kReservedAt).find_first_not_of('\0') !=
      std::string_view::npos) {
    return DataLoss("prelude: bytes 32 to 55 are not zero");
  }

  // The mapping is as long as the file was when it was opened. Whoever shortens the file later
  // makes us fault (SIGBUS): no check can prevent that, so converters replace files by renaming.
  const auto file_bytes = Load<uint64_t>(file, 16);
  if (file_bytes != file.size()) {
    return DataLoss("prelude: the file has " + std::to_string(file.size()) + " bytes, expected " +
                    std::to_string(file_bytes) +
                    (file.size() < file_bytes ? ": it is cut off" : ""));
  }
  const auto header_bytes = Load<uint64_t>(file, 8);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size() - kPreludeBytes) {
    return DataLoss(
        "prelude: a header of " + std::to_string(header_bytes) + " bytes, expected at most " +
        std::to_string(std::min<uint64_t>(kMaxHeaderBytes, file.size() - kPreludeBytes)));
  }
  const std::string_view header = file.substr(kPreludeBytes, header_bytes);
  const auto expected_header_sum = Load<uint64_t>(file, 24);
  const uint64_t header_sum = Xxh3(header);
  if (header_sum != expected_header_sum) {
    return SumMismatch("header", expected_header_sum, header_sum);
  }
  return header;
}

}  // namespace infeng
