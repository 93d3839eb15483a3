#ifndef INFENG_CC_KERNELS_ACTIVATION_BODY_H_
#define INFENG_CC_KERNELS_ACTIVATION_BODY_H_

// Written once over 16 lanes. Include a tier's simd header before this one.

#include "cc/kernels/activation/tier.h"
#include "cc/kernels/simd/exp.h"

namespace infeng {
namespace {

void SwiGlu(const GluArgs& a) {
  const V one = Set1(1.0f);
  for (size_t i = a.row_begin * a.stride; i < a.row_end * a.stride; i += 16) {
    const V gate = Load(a.gate + i);
    const V silu = Div(gate, Add(one, Exp(Negate(gate))));
    Store(a.y + i, Mul(silu, Load(a.up + i)));
  }
}

void GeGlu(const GluArgs& a) {
  const V one = Set1(1.0f);
  for (size_t i = a.row_begin * a.stride; i < a.row_end * a.stride; i += 16) {
    const V gate = Load(a.gate + i);
    const V poly = Fma(Mul(Set1(0x1.2444f2p-4f), gate), gate, Set1(0x1.988454p+0f));
    const V gelu = Div(gate, Add(one, Exp(Negate(Mul(gate, poly)))));
    Store(a.y + i, Mul(gelu, Load(a.up + i)));
  }
}

void SoftCap(const SoftCapArgs& a) {
  const V one = Set1(1.0f);
  const V two = Set1(2.0f);
  const V cap = Set1(a.cap);
  for (size_t i = 0; i < a.n; i += 16) {
    const size_t count = a.n - i < 16 ? a.n - i : 16;
    const V e = Exp(Mul(two, Div(LoadN(a.x + i, count), cap)));
    StoreN(a.x + i, Mul(cap, Sub(one, Div(two, Add(one, e)))), count);
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
