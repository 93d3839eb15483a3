#ifndef INFENG_CC_KERNELS_NORM_BODY_H_
#define INFENG_CC_KERNELS_NORM_BODY_H_

// Written once over 16 lanes. Include a tier's simd header before this one.

#include "cc/kernels/norm/tier.h"

namespace infeng {
namespace {

inline void RmsNormRow(const RmsNormArgs& a, const float* x, float* y) {
  V squares = Set1(0.0f);
  for (size_t i = 0; i < a.n; i += 16) {
    const V v = Load(x + i);
    squares = Fma(v, v, squares);
  }
  const float mean = Sum(squares) / static_cast<float>(a.n);
  const V factor = Set1(1.0f / __builtin_sqrtf(mean + a.eps));
  for (size_t i = 0; i < a.n; i += 16) {
    Store(y + i, Mul(Mul(Load(x + i), factor), Load(a.weight + i)));
  }
}

void RmsNorm(const RmsNormArgs& a) {
  for (size_t row = a.row_begin; row < a.row_end; ++row) {
    RmsNormRow(a, a.x + row * a.x_stride, a.y + row * a.y_stride);
  }
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_NORM_BODY_H_
