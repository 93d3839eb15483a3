#ifndef INFENG_CC_KERNELS_ATTENTION_STORE_H_
#define INFENG_CC_KERNELS_ATTENTION_STORE_H_

// Writing into the cache, and queries for an integer cache. Include a tier's lanes header before
// this one.

#include "cc/kernels/attention/tier.h"

namespace infeng {
namespace {

// An element is an outlier if its magnitude is over kOutlierRatio times the vector's root mean
// square, as long as its block's list has room.
constexpr float kOutlierRatio = 5.0f;

// One vector, padded with zeros, on its way into the keys or the values of a block.
struct Vector {
  alignas(64) float x[kMaxHeadDim];
  size_t padded;
  float amax;  // not finite if any element is not
};

inline bool IsFinite(float magnitude) { return magnitude <= 0x1.fffffep+127f; }

// rotate: by a Walsh-Hadamard transform, as tier.h says.
inline void LoadVector(const float* x, size_t n, bool rotate, Vector* v) {
  v->padded = (n + 15) / 16 * 16;
  for (size_t d = 0; d < n; d += 16) Store(v->x + d, LoadN(x + d, n - d < 16 ? n - d : 16));
  const size_t block = rotate ? RotationBlock(v->padded) : 1;
  for (size_t half = 1; half < block; half *= 2) {
    for (size_t i = 0; i < v->padded; i += 2 * half) {
      for (size_t d = i; d < i + half; ++d) {
        const float a = v->x[d];
        const float b = v->x[d + half];
        v->x[d] = a + b;
        v->x[d + half] = a - b;
      }
    }
  }
  V greatest = Set1(0.0f);
  for (size_t d = 0; d < v->padded; d += 16) greatest = MaxBits(greatest, Abs(Load(v->x + d)));
  v->amax = ReduceMaxBits(greatest);
}

void QuantizeQuery(const QuantizeQueryArgs& a) {
  Vector v;
  LoadVector(a.x, a.padded_dim, true, &v);
  const float inverse = 32767.0f / v.amax;
  const bool zero = !IsFinite(v.amax) || !IsFinite(inverse);
  *a.scale = !IsFinite(v.amax) ? __builtin_nanf("") : zero ? 0.0f : v.amax / 32767.0f;
  for (size_t d = 0; d < a.padded_dim; d += 16) {
    const V q = zero ? Set1(0.0f) : Mul(Load(v.x + d), Set1(inverse));
    StoreI16(reinterpret_cast<char*>(a.q + d), q);
  }
}

inline float HalfToFloat(uint16_t half) {
  uint16_t halves[16] = {half};
  float lanes[16];
  Store(lanes, LoadF16(halves));
  return lanes[0];
}

inline uint16_t FloatToHalf(float x) {
  uint16_t halves[16];
  StoreF16(halves, Min(Set1(65504.0f), Max(Set1(-65504.0f), Set1(x))));
  return halves[0];
}

// The least half that is not below x, which is not negative; 65504 at most.
inline uint16_t HalfAbove(float x) {
  const uint16_t half = FloatToHalf(x);
  return HalfToFloat(half) < x && half < 0x7bff ? static_cast<uint16_t>(half + 1) : half;
}

inline float RoundWithin(float x, float low, float high) {
  const float clamped = x < low ? low : x > high ? high : x;
  const float magic = 12582912.0f;
  return (clamped + magic) - magic;
}

// Where keys or values of a block go.
struct Half {
  bool key;
  char* panels;
  size_t panel_bytes;
  uint16_t* scales;
  KvOutliers* outliers;
  size_t max_outliers;
};

inline char* PanelOf(const Half& h, size_t slot, size_t d) {
  return h.panels + (h.key ? slot / 16 : d / 16) * h.panel_bytes;
}

inline void StoreFloats(const Vector& v, bool f16, const Half& h, size_t slot) {
  for (size_t d = 0; d < v.padded; d += 16) {
    V x = Load(v.x + d);
    uint16_t halves[16];
    if (f16) StoreF16(halves, Min(Set1(65504.0f), Max(Set1(-65504.0f), x)));
    const size_t size = f16 ? 2 : 4;
    const char* from =
        f16 ? reinterpret_cast<const char*>(halves) : reinterpret_cast<const char*>(v.x + d);
    char* panel = PanelOf(h, slot, d);
    if (h.key) {
      for (size_t i = 0; i < 16; ++i) {
        __builtin_memcpy(panel + ((d + i) * 16 + slot % 16) * size, from + i * size, size);
      }
    } else {
      __builtin_memcpy(panel + slot * 16 * size, from, 16 * size);
    }
  }
}

// The magnitude beyond which an element of v is an outlier.
inline float OutlierBound(const Vector& v) {
  V squares = Set1(0.0f);
  for (size_t d = 0; d < v.padded; d += 16) squares = Fma(Load(v.x + d), Load(v.x + d), squares);
  return kOutlierRatio * __builtin_sqrtf(Sum(squares) / static_cast<float>(v.padded));
}

// The outliers' dimensions, at most `room`; the greatest and least of the other elements.
inline size_t FindOutliers(const Vector& v, size_t room, uint16_t* dims, float* low, float* high) {
  const float bound = OutlierBound(v);
  size_t count = 0;
  *low = 0.0f;
  *high = 0.0f;
  for (size_t d = 0; d < v.padded; ++d) {
    const float x = v.x[d];
    if ((x > bound || -x > bound) && count < room) {
      dims[count++] = static_cast<uint16_t>(d);
    } else {
      *low = x < *low ? x : *low;
      *high = x > *high ? x : *high;
    }
  }
  return count;
}

// Puts the code of element d at (slot, d).
inline void PutCode(const Half& h, bool int4, size_t slot, size_t d, int32_t code) {
  const size_t step = h.key ? d : slot;
  const size_t lane = h.key ? slot % 16 : d % 16;
  char* panel = PanelOf(h, slot, d);
  if (!int4) {
    const auto byte = static_cast<int8_t>(code);
    __builtin_memcpy(panel + step / 2 * 32 + lane * 2 + step % 2, &byte, 1);
    return;
  }
  char* at = panel + step / 4 * 32 + lane * 2 + step % 2;
  uint8_t byte;
  __builtin_memcpy(&byte, at, 1);
  const auto nibble = static_cast<uint8_t>(code);
  byte = step / 2 % 2 != 0 ? static_cast<uint8_t>((byte & 0x0f) | nibble << 4)
                           : static_cast<uint8_t>((byte & 0xf0) | nibble);
  __builtin_memcpy(at, &byte, 1);
}

void StoreQuantized(const Vector& v, bool int4, const Half& h, size_t slot) {
  const size_t before = slot == 0 ? 0 : h.outliers->end[slot - 1];
  uint16_t dims[kMaxHeadDim];
  size_t count = 0;
  float low = 0.0f;
  float high = 0.0f;
  if (IsFinite(v.amax)) count = FindOutliers(v, h.max_outliers - before, dims, &low, &high);
  const uint16_t min_half = int4 ? FloatToHalf(low) : 0;
  const float min = HalfToFloat(min_half);
  const float greatest = int4 ? high - min : high > -low ? high : -low;
  const float levels = int4 ? 15.0f : 127.0f;
  const uint16_t scale_half = IsFinite(v.amax) ? HalfAbove(greatest / levels) : 0x7e00;
  const float scale = HalfToFloat(scale_half);
  // NaN and 0 give codes of 0.
  const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
  const float least = int4 ? 0.0f : -levels;
  const float zero = int4 ? RoundWithin(-min * inverse, 0.0f, levels) : 0.0f;
  size_t next = 0;
  for (size_t d = 0; d < v.padded; ++d) {
    const float x = inverse == 0.0f ? 0.0f : (v.x[d] - min) * inverse;
    float code = RoundWithin(x, least, levels);
    if (next < count && dims[next] == d) {
      const float rest = RoundWithin(x - zero, -32767.0f, 32767.0f);
      h.outliers->entries[before + next] = {static_cast<int16_t>(rest), dims[next]};
      ++next;
      code = zero;
    }
    PutCode(h, int4, slot, d, static_cast<int32_t>(code));
  }
  h.outliers->end[slot] = static_cast<uint16_t>(before + count);
  h.scales[slot] = scale_half;
  if (int4) h.scales[kPagePositions + slot] = min_half;
}

void StoreKv(const StoreKvArgs& a) {
  const KvBlock& b = a.block;
  char* block = static_cast<char*>(a.out);
  const auto half = [&](bool key) {
    return Half{key,
                block + (key ? b.keys : b.values),
                key ? b.key_panel_bytes : b.value_panel_bytes,
                reinterpret_cast<uint16_t*>(block + (key ? b.key_scales : b.value_scales)),
                reinterpret_cast<KvOutliers*>(block + (key ? b.key_outliers : b.value_outliers)),
                b.max_outliers};
  };
  Vector k;
  Vector v;
  const bool floats = b.dtype == KvDtype::kF32 || b.dtype == KvDtype::kF16;
  LoadVector(a.k, b.head_dim, !floats, &k);
  LoadVector(a.v, b.head_dim, false, &v);
  if (floats) {
    StoreFloats(k, b.dtype == KvDtype::kF16, half(true), a.slot);
    StoreFloats(v, b.dtype == KvDtype::kF16, half(false), a.slot);
    return;
  }
  const bool int4 = b.dtype == KvDtype::kInt4;
  StoreQuantized(k, int4, half(true), a.slot);
  StoreQuantized(v, int4, half(false), a.slot);
  // A score that is NaN is seen in the logits; a weight would be lost in rounding.
  if (!IsFinite(v.amax)) half(true).scales[a.slot] = 0x7e00;
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_STORE_H_
