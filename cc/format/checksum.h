#ifndef INFENG_CC_FORMAT_CHECKSUM_H_
#define INFENG_CC_FORMAT_CHECKSUM_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace infeng {

// XXH3, 64 bits, seed 0: the sum of INFQ's sections.
uint64_t Xxh3(std::string_view bytes);

// The same, and calls visit(block) for each block of the bytes, in order, while it is in the
// cache. Blocks begin at multiples of 64 from the first byte.
uint64_t Xxh3InBlocks(std::string_view bytes, const std::function<void(std::string_view)>& visit);

// 16 lower-case hexadecimal digits.
std::string HexSum(uint64_t sum);

// The reverse of HexSum; nullopt for any other text.
std::optional<uint64_t> ParseHexSum(std::string_view text);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_CHECKSUM_H_
