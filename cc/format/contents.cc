#include "cc/format/contents.h"

#include <bit>
#include <cstdint>
#include <string>

#include "cc/format/checksum.h"

namespace infeng {
namespace {

// The three tests of a value are on its bits, without branches, so that compilers make vector
// code of the loop below.
struct Float32 {
  using Bits = uint32_t;
  static bool Bad(Bits bits) { return (bits & 0x7f800000u) == 0x7f800000u; }
  static std::string Text(Bits bits) { return std::to_string(std::bit_cast<float>(bits)); }
  static constexpr const char* kExpected = "finite values";
};

struct Int8 {
  using Bits = uint8_t;
  static bool Bad(Bits bits) { return bits == 0x80; }
  static std::string Text(Bits) { return "-128"; }
  static constexpr const char* kExpected = "values from -127 to 127";
};

struct Bfloat16Scale {
  using Bits = uint16_t;
  static bool Bad(Bits bits) { return bits >= 0x7f80; }  // infinite, NaN or with a sign
  static std::string Text(Bits bits) {
    return std::to_string(std::bit_cast<float>(uint32_t{bits} << 16));
  }
  static constexpr const char* kExpected = "finite scales that are not negative";
};

struct Half {
  using Bits = uint16_t;
  static bool Bad(Bits bits) { return (bits & 0x7c00u) == 0x7c00u; }
  static std::string Text(Bits bits) { return "binary16 0x" + HexSum(bits).substr(12); }
  static constexpr const char* kExpected = "finite values";
};

template <class T>
bool AnyBad(std::string_view bytes) {
  using Bits = typename T::Bits;
  const auto* values = reinterpret_cast<const Bits*>(bytes.data());
  const size_t count = bytes.size() / sizeof(Bits);
  Bits bad = 0;
  for (size_t i = 0; i < count; ++i) bad |= T::Bad(values[i]) ? Bits{1} : Bits{0};
  return bad != 0;
}

Status CompareSum(uint64_t sum, const Extent& extent) {
  if (sum == extent.sum) return {};
  return DataLoss(extent.what + ": the sum is " + HexSum(sum) + ", expected " + HexSum(extent.sum) +
                  ": the file is damaged");
}

template <class T>
Status CheckValues(std::string_view bytes, const Extent& extent) {
  bool bad = false;
  const uint64_t sum =
      Xxh3InBlocks(bytes, [&bad](std::string_view block) { bad = AnyBad<T>(block) || bad; });
  INFENG_RETURN_IF_ERROR(CompareSum(sum, extent));
  if (!bad) return {};
  const auto* values = reinterpret_cast<const typename T::Bits*>(bytes.data());
  size_t first = 0;
  while (!T::Bad(values[first])) ++first;
  return DataLoss(extent.what + ": expected " + T::kExpected + ", found " + T::Text(values[first]) +
                  " at index " + std::to_string(first) + " in store");
}

}  // namespace

Status CheckSum(std::string_view bytes, const Extent& extent) {
  return CompareSum(Xxh3(bytes), extent);
}

Status CheckFloats(std::string_view bytes, const Extent& extent) {
  return CheckValues<Float32>(bytes, extent);
}

Status CheckInt8(std::string_view bytes, const Extent& extent) {
  return CheckValues<Int8>(bytes, extent);
}

Status CheckScales(std::string_view bytes, const Extent& extent) {
  return CheckValues<Bfloat16Scale>(bytes, extent);
}

Status CheckHalves(std::string_view bytes, const Extent& extent) {
  return CheckValues<Half>(bytes, extent);
}

}  // namespace infeng
