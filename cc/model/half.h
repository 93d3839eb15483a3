#ifndef INFENG_CC_MODEL_HALF_H_
#define INFENG_CC_MODEL_HALF_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace infeng {

// The value of a finite IEEE binary16, exact.
inline float HalfToFloat(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const auto mantissa = static_cast<float>((half & 1023) + (exponent == 0 ? 0 : 1024));
  const float magnitude = std::ldexp(mantissa, std::max(exponent, 1) - 25);
  return half >> 15 != 0 ? -magnitude : magnitude;
}

// The nearest binary16, ties to even; |value| < 65520.
inline uint16_t FloatToHalf(float value) {
  const float magnitude = std::abs(value);
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent, -13);
  const auto mantissa = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 11 - exponent)));
  const int bits = magnitude == 0 ? 0 : ((exponent + 13) << 10) + mantissa;
  return static_cast<uint16_t>((std::signbit(value) ? 0x8000 : 0) | bits);
}

}  // namespace infeng

#endif  // INFENG_CC_MODEL_HALF_H_
