#ifndef INFENG_CC_KERNELS_GEMM_BODY_H_
#define INFENG_CC_KERNELS_GEMM_BODY_H_

// What all tiers share, written once over 16 lanes. Include a tier's simd header before this one.

#include "cc/kernels/gemm/tier.h"

namespace infeng {
namespace {

constexpr float kMaxFinite = 0x1.fffffep+127f;

// The 16 elements of a row at `at`; zero beyond k.
inline V LoadPadded(const float* x, size_t k, size_t at) {
  return at < k ? Load(x + at) : Set1(0.0f);
}

// -128 * sum of q, for kernels that add 128 to the weights to make them unsigned.
inline int32_t WeightOffset(const int8_t* q, size_t group) {
  int32_t sum = 0;
  for (size_t i = 0; i < group; ++i) sum += q[i];
  return -128 * sum;
}

inline void QuantizeGroup(const QuantizeArgs& a, const float* x, size_t row, size_t g) {
  const QuantizedRows& out = a.out;
  const size_t groups = out.kp / out.group;
  const size_t at = g * out.group;
  V amax_lanes = Set1(0.0f);
  for (size_t i = 0; i < out.group; i += 16) {
    amax_lanes = MaxBits(amax_lanes, Abs(LoadPadded(x, a.k, at + i)));
  }
  const float amax = ReduceMaxBits(amax_lanes);
  const bool finite = amax <= kMaxFinite;
  const float inverse = 127.0f / amax;
  const bool nonzero = finite && inverse <= kMaxFinite;
  const float scale = nonzero ? amax / 127.0f : (finite ? 0.0f : __builtin_nanf(""));
  const V factor = Set1(inverse);
  int8_t* q = out.q + row * out.digits * out.kp + at;
  const size_t first = row * out.digits * groups + g;
  out.scale[first] = scale;
  for (size_t i = 0; i < out.group; i += 16) {
    StoreI8(q + i, nonzero ? Mul(LoadPadded(x, a.k, at + i), factor) : Set1(0.0f));
  }
  out.offset[first] = WeightOffset(q, out.group);
  if (out.digits == 1) return;

  const float scale2 = scale / 254.0f;
  const float inverse2 = 1.0f / scale2;
  const bool nonzero2 = nonzero && inverse2 <= kMaxFinite;
  int8_t* q2 = q + out.kp;
  for (size_t i = 0; i < out.group; i += 16) {
    V r = Set1(0.0f);
    if (nonzero2) {
      r = Fma(Set1(-scale), LoadI8(q + i), LoadPadded(x, a.k, at + i));
      r = Min(Set1(127.0f), Max(Set1(-127.0f), Mul(r, Set1(inverse2))));
    }
    StoreI8(q2 + i, r);
  }
  out.scale[first + groups] = nonzero2 ? scale2 : 0.0f;
  out.offset[first + groups] = WeightOffset(q2, out.group);
}

inline size_t OutputsOfPanel(const Int8LinearArgs& a, size_t panel) {
  const size_t left = a.n - panel * 16;
  return left < 16 ? left : 16;
}

void Quantize(const QuantizeArgs& a) {
  const size_t groups = a.out.kp / a.out.group;
  for (size_t row = a.row_begin; row < a.row_end; ++row) {
    for (size_t g = 0; g < groups; ++g) QuantizeGroup(a, a.x + row * a.x_stride, row, g);
  }
}

// A tile of `Rows` rows by `Outputs` outputs.
template <int Rows, int Outputs>
inline void F32Tile(const F32LinearArgs& a, size_t row, size_t n) {
  V acc[Rows][Outputs];
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Outputs; ++j) acc[i][j] = Set1(0.0f);
  }
  const float* x = a.x + row * a.x_stride;
  const float* w = a.w + n * a.kp;
  for (size_t k = 0; k < a.kp; k += 16) {
    V xs[Rows];
    for (int i = 0; i < Rows; ++i) xs[i] = Load(x + i * a.x_stride + k);
    for (int j = 0; j < Outputs; ++j) {
      const V ws = Load(w + j * a.kp + k);
      for (int i = 0; i < Rows; ++i) acc[i][j] = Fma(xs[i], ws, acc[i][j]);
    }
  }
  for (int i = 0; i < Rows; ++i) {
    float* y = a.y + (row + i) * a.y_stride + n;
    for (int j = 0; j < Outputs; ++j) {
      const float sum = Sum(acc[i][j]);
      y[j] = a.accumulate ? y[j] + sum : sum;
    }
  }
}

template <int Outputs>
inline void F32Outputs(const F32LinearArgs& a, size_t n) {
  size_t row = 0;
  for (; row + kF32TileRows <= a.rows; row += kF32TileRows) {
    F32Tile<kF32TileRows, Outputs>(a, row, n);
  }
  for (; row < a.rows; ++row) F32Tile<1, Outputs>(a, row, n);
}

void F32Linear(const F32LinearArgs& a) {
  size_t n = a.n_begin;
  for (; n + kF32TileOutputs <= a.n_end; n += kF32TileOutputs) F32Outputs<kF32TileOutputs>(a, n);
  for (; n < a.n_end; ++n) F32Outputs<1>(a, n);
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_GEMM_BODY_H_
