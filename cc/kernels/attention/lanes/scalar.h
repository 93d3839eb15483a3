#ifndef INFENG_CC_KERNELS_ATTENTION_LANES_SCALAR_H_
#define INFENG_CC_KERNELS_ATTENTION_LANES_SCALAR_H_

// 16 lanes of int32 and of pairs of int16, beside the 16 of f32 in simd/scalar.h.

#include "cc/kernels/simd/scalar.h"

namespace infeng {
namespace {

// Register blocks for which this tier has room: queries, and accumulators in all.
constexpr int kQueryTile = 2;
constexpr int kAccumulators = 2;
constexpr bool kHoldPanels = false;

struct I {
  int32_t lane[16];
};

struct Pairs {
  int16_t lane[16][2];
};

inline I ZeroI() {
  I r;
  for (int i = 0; i < 16; ++i) r.lane[i] = 0;
  return r;
}

// 16 pairs of int8.
inline Pairs LoadPairs8(const char* p) {
  Pairs r;
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < 2; ++k) {
      int8_t byte;
      memcpy(&byte, p + 2 * i + k, 1);
      r.lane[i][k] = byte;
    }
  }
  return r;
}

// The low (High false) or high nibbles of 16 pairs of bytes.
template <bool High>
inline Pairs LoadPairs4(const char* p) {
  Pairs r;
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < 2; ++k) {
      uint8_t byte;
      memcpy(&byte, p + 2 * i + k, 1);
      r.lane[i][k] = High ? byte >> 4 : byte & 15;
    }
  }
  return r;
}

// Two int16 from memory to all lanes.
inline Pairs BroadcastPair(const char* p) {
  Pairs r;
  for (int i = 0; i < 16; ++i) memcpy(r.lane[i], p, 4);
  return r;
}

// acc + a[0] b[0] + a[1] b[1] in each lane, exact unless it overflows.
inline I DotPairs(I acc, Pairs a, Pairs b) {
  for (int i = 0; i < 16; ++i) {
    acc.lane[i] += a.lane[i][0] * b.lane[i][0] + a.lane[i][1] * b.lane[i][1];
  }
  return acc;
}

inline V ToFloat(I a) {
  V r;
  for (int i = 0; i < 16; ++i) r.lane[i] = static_cast<float>(a.lane[i]);
  return r;
}

// Rounded to nearest even, |a| <= 32767.5.
inline void StoreI16(char* p, V a) {
  for (int i = 0; i < 16; ++i) {
    const float t = a.lane[i] + 12582912.0f;
    const auto value = static_cast<int16_t>(static_cast<int32_t>(Bits(t) - 0x4b400000u));
    memcpy(p + 2 * i, &value, 2);
  }
}

inline V LoadI16(const char* p) {
  V r;
  for (int i = 0; i < 16; ++i) {
    int16_t value;
    memcpy(&value, p + 2 * i, 2);
    r.lane[i] = static_cast<float>(value);
  }
  return r;
}

// Lanes begin <= i < end of a, `other` in the rest.
inline V KeepRange(V a, V other, int begin, int end) {
  for (int i = 0; i < 16; ++i) {
    if (i >= begin && i < end) other.lane[i] = a.lane[i];
  }
  return other;
}

// p * 2^n where t = n + 1.5 * 2^23, for results that are normal; +0 in lanes where x < limit.
inline V ScalePow2Above(V p, V t, V x, float limit) {
  for (int i = 0; i < 16; ++i) {
    const float scaled = FromBits(Bits(p.lane[i]) + (Bits(t.lane[i]) << 23));
    p.lane[i] = x.lane[i] < limit ? 0.0f : scaled;
  }
  return p;
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_LANES_SCALAR_H_
