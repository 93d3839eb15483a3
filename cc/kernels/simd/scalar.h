#ifndef INFENG_CC_KERNELS_SIMD_SCALAR_H_
#define INFENG_CC_KERNELS_SIMD_SCALAR_H_

// A vector of 16 virtual f32 lanes in plain C: the definition that the other tiers must equal bit
// for bit. Only a tier's own TU includes this; everything has internal linkage (see README.md).

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace infeng {
namespace {

// Register blocks for which this tier has room.
constexpr int kF32TileRows = 2;
constexpr int kF32TileOutputs = 2;
constexpr int kHeadsTile = 1;
constexpr int kLoraRows = 1;  // by 16 of rank

struct V {
  float lane[16];
};

inline uint32_t Bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return bits;
}

inline float FromBits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

inline V Set1(float x) {
  V r;
  for (int i = 0; i < 16; ++i) r.lane[i] = x;
  return r;
}

// Even lanes p[0], odd lanes p[1].
inline V SetPair(const float* p) {
  V r;
  for (int i = 0; i < 16; ++i) r.lane[i] = p[i % 2];
  return r;
}

inline V Load(const float* p) {
  V r;
  memcpy(r.lane, p, sizeof(r.lane));
  return r;
}

// The first n (0..16) lanes from memory, the others +0.
inline V LoadN(const float* p, size_t n) {
  V r = Set1(0.0f);
  memcpy(r.lane, p, n * sizeof(float));
  return r;
}

inline void Store(float* p, V a) { memcpy(p, a.lane, sizeof(a.lane)); }

inline void StoreN(float* p, V a, size_t n) { memcpy(p, a.lane, n * sizeof(float)); }

inline V Add(V a, V b) {
  for (int i = 0; i < 16; ++i) a.lane[i] += b.lane[i];
  return a;
}

inline V Sub(V a, V b) {
  for (int i = 0; i < 16; ++i) a.lane[i] -= b.lane[i];
  return a;
}

inline V Mul(V a, V b) {
  for (int i = 0; i < 16; ++i) a.lane[i] *= b.lane[i];
  return a;
}

inline V Div(V a, V b) {
  for (int i = 0; i < 16; ++i) a.lane[i] /= b.lane[i];
  return a;
}

// a * b + c, rounded once.
inline V Fma(V a, V b, V c) {
  for (int i = 0; i < 16; ++i) c.lane[i] = fmaf(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}

// As x86's instructions: the second operand if either is NaN or both are zero.
inline V Max(V a, V b) {
  for (int i = 0; i < 16; ++i) b.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  return b;
}

inline V Min(V a, V b) {
  for (int i = 0; i < 16; ++i) b.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
  return b;
}

inline V Negate(V a) {
  for (int i = 0; i < 16; ++i) a.lane[i] = -a.lane[i];
  return a;
}

inline V Abs(V a) {
  for (int i = 0; i < 16; ++i) a.lane[i] = FromBits(Bits(a.lane[i]) & 0x7fffffffu);
  return a;
}

// The greater by bit pattern, for operands without sign: NaN > infinity > finite, in any order.
inline V MaxBits(V a, V b) {
  for (int i = 0; i < 16; ++i) {
    if (Bits(a.lane[i]) > Bits(b.lane[i])) b.lane[i] = a.lane[i];
  }
  return b;
}

inline float ReduceMaxBits(V a) {
  float r = a.lane[0];
  for (int i = 1; i < 16; ++i) {
    if (Bits(a.lane[i]) > Bits(r)) r = a.lane[i];
  }
  return r;
}

// Greatest lane; no lane may be NaN.
inline float ReduceMax(V a) {
  float r = a.lane[0];
  for (int i = 1; i < 16; ++i) r = a.lane[i] > r ? a.lane[i] : r;
  return r;
}

// The canonical tree: lanes i and i+8, then +4, +2, +1.
inline float Sum(V a) {
  for (int w = 8; w > 0; w /= 2) {
    for (int i = 0; i < w; ++i) a.lane[i] += a.lane[i + w];
  }
  return a.lane[0];
}

// Lane i of the result is Sum(a[i]).
inline V Sum16(const V* a) {
  V r;
  for (int i = 0; i < 16; ++i) r.lane[i] = Sum(a[i]);
  return r;
}

// As Sum16, of ReduceMaxBits.
inline V MaxBits16(const V* a) {
  float greatest[16];
  for (int i = 0; i < 16; ++i) greatest[i] = ReduceMaxBits(a[i]);
  return Load(greatest);
}

// 2^(n/2) * 2^(n-n/2) * p where t = n + 1.5 * 2^23: overflow and denormals round as they should.
inline V MulPow2(V p, V t) {
  for (int i = 0; i < 16; ++i) {
    const int32_t n = static_cast<int32_t>(Bits(t.lane[i])) - 0x4b400000;
    const int32_t half = n >> 1;
    const float a = FromBits(static_cast<uint32_t>(half + 127) << 23);
    const float b = FromBits(static_cast<uint32_t>(n - half + 127) << 23);
    p.lane[i] = p.lane[i] * a * b;
  }
  return p;
}

// To an integer, nearest even, |a| < 2^22; a result of zero is +0.
inline V Round(V a) {
  for (int i = 0; i < 16; ++i) a.lane[i] = a.lane[i] + 12582912.0f - 12582912.0f;
  return a;
}

// Rounded to nearest even, |a| <= 127.5, as 16 bytes.
inline void StoreI8(int8_t* p, V a) {
  for (int i = 0; i < 16; ++i) {
    const float t = a.lane[i] + 12582912.0f;
    p[i] = static_cast<int8_t>(static_cast<int32_t>(Bits(t)) - 0x4b400000);
  }
}

inline V LoadI8(const int8_t* p) {
  V r;
  for (int i = 0; i < 16; ++i) r.lane[i] = static_cast<float>(p[i]);
  return r;
}

// IEEE binary16 to f32, exact.
inline V LoadF16(const uint16_t* p) {
  V r;
  for (int i = 0; i < 16; ++i) {
    const uint32_t sign = static_cast<uint32_t>(p[i] & 0x8000u) << 16;
    const uint32_t exponent = (p[i] >> 10) & 0x1fu;
    const uint32_t mantissa = p[i] & 0x3ffu;
    uint32_t bits;
    if (exponent == 0) {
      bits = Bits(static_cast<float>(mantissa) * 0x1p-24f);
    } else if (exponent == 31) {
      bits = 0x7f800000u | (mantissa << 13) | (mantissa != 0 ? 0x400000u : 0u);
    } else {
      bits = ((exponent + 112) << 23) | (mantissa << 13);
    }
    r.lane[i] = FromBits(sign | bits);
  }
  return r;
}

// f32 to binary16, nearest even.
inline void StoreF16(uint16_t* p, V a) {
  for (int i = 0; i < 16; ++i) {
    const uint32_t bits = Bits(a.lane[i]);
    const uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t half;
    if (magnitude > 0x7f800000u) {
      half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
    } else if (magnitude >= 0x477ff000u) {
      half = 0x7c00u;
    } else if (magnitude >= 0x38800000u) {
      half = ((magnitude + 0xfffu + ((magnitude >> 13) & 1u)) >> 13) - (112u << 10);
    } else {
      // The unit in the last place of [0.5, 1) is the step of binary16's denormals.
      half = Bits(FromBits(magnitude) + 0.5f) - 0x3f000000u;
    }
    p[i] = static_cast<uint16_t>((bits >> 16 & 0x8000u) | half);
  }
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_SIMD_SCALAR_H_
