#ifndef INFENG_CC_KERNELS_ACTIVATION_TIER_H_
#define INFENG_CC_KERNELS_ACTIVATION_TIER_H_

#include <stddef.h>
#include <stdint.h>

// Plain-C views, safe to share with code that is compiled for other instruction sets.
namespace infeng {

// y = act(gate) * up, elementwise, with act(g) =
//   swiglu  g / (1 + e^-g)
//   geglu   g / (1 + e^-u), u = g * fma(b * g, g, a), a = 2 sqrt(2 / pi), b = 0.044715 a: GELU by
//   tanh
struct GluArgs {
  const float* gate;  // [rows][stride]
  const float* up;    // [rows][stride]
  float* y;           // [rows][stride]; may be gate or up
  size_t stride;      // a multiple of 16; all of it is computed
  size_t row_begin, row_end;
};

// y = cap * tanh(x / cap), elementwise; tanh z = 1 - 2 / (1 + e^2z).
struct SoftCapArgs {
  float* x;  // [n], n any; y in its place
  size_t n;
  float cap;
};

struct ActivationTier {
  void (*swiglu)(const GluArgs&);
  void (*geglu)(const GluArgs&);
  void (*soft_cap)(const SoftCapArgs&);
  // y[i] = e^x[i] for i < n, at most 1 ulp off: what SwiGLU and attention use.
  void (*exp)(const float* x, float* y, size_t n);
};

extern const ActivationTier kActivationScalar;
extern const ActivationTier kActivationAvx2;
extern const ActivationTier kActivationAvx512;

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ACTIVATION_TIER_H_
