#ifndef INFENG_CC_KERNELS_ROPE_BODY_H_
#define INFENG_CC_KERNELS_ROPE_BODY_H_

// Written once over 16 lanes. Include a tier's simd header before this one.

#include "cc/kernels/rope/tier.h"

namespace infeng {
namespace {

inline void RopeHead(const RopeArgs& a, const float* x, float* y) {
  const size_t half = a.head_dim / 2;
  for (size_t i = 0; i < half; i += 16) {
    const size_t n = half - i < 16 ? half - i : 16;
    const V first = LoadN(x + i, n);
    const V second = LoadN(x + half + i, n);
    const V c = LoadN(a.cos + i, n);
    const V s = LoadN(a.sin + i, n);
    StoreN(y + i, Fma(first, c, Negate(Mul(second, s))), n);
    StoreN(y + half + i, Fma(second, c, Mul(first, s)), n);
  }
  for (size_t i = a.head_dim; i < a.padded_dim; ++i) y[i] = 0.0f;
}

void Rope(const RopeArgs& a) {
  for (size_t h = 0; h < a.heads; ++h) RopeHead(a, a.x + h * a.head_dim, a.y + h * a.padded_dim);
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ROPE_BODY_H_
