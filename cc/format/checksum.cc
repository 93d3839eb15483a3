#include "cc/format/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cinttypes>
#include <cstdio>

namespace infeng {

uint64_t Xxh3(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t Xxh3InBlocks(std::string_view bytes, const std::function<void(std::string_view)>& visit) {
  constexpr size_t kBlock = 128 << 10;
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_64bits_reset(&state);
  for (size_t at = 0; at < bytes.size(); at += kBlock) {
    const std::string_view block = bytes.substr(at, kBlock);
    XXH3_64bits_update(&state, block.data(), block.size());
    visit(block);
  }
  return XXH3_64bits_digest(&state);
}

std::string HexSum(uint64_t sum) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016" PRIx64, sum);
  return text;
}

std::optional<uint64_t> ParseHexSum(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  uint64_t sum = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
    sum = sum * 16 + static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return sum;
}

}  // namespace infeng
