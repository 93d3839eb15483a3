#ifndef INFENG_CC_KERNELS_ACTIVATION_BODY_H_
#define INFENG_CC_KERNELS_ACTIVATION_BODY_H_

// Written once over 16 lanes. Include a tier's simd header before this one.

#include "cc/kernels/activation/tier.h"
#include "cc/kernels/simd/exp.h"

namespace infeng {
namespace {

void SwiGlu(const SwiGluArgs& a) {
  const V one = Set1(1.0f);
  for (size_t i = a.row_begin * a.stride; i < a.row_end * a.stride; i += 16) {
    const V gate = Load(a.gate + i);
    const V silu = Div(gate, Add(one, Exp(Negate(gate))));
    Store(a.y + i, Mul(silu, Load(a.up + i)));
  }
}

void ExpAll(const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    const size_t count = n - i < 16 ? n - i : 16;
    StoreN(y + i, Exp(LoadN(x + i, count)), count);
  }
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ACTIVATION_BODY_H_
