#ifndef INFENG_CC_KERNELS_ACTIVATION_TIER_H_
#define INFENG_CC_KERNELS_ACTIVATION_TIER_H_

#include <stddef.h>
#include <stdint.h>

// Plain-C views, safe to share with code that is compiled for other instruction sets.
namespace infeng {

// y = gate / (1 + e^-gate) * up, elementwise.
struct SwiGluArgs {
  const float* gate;  // [rows][stride]
  const float* up;    // [rows][stride]
  float* y;           // [rows][stride]; may be gate or up
  size_t stride;      // a multiple of 16; all of it is computed
  size_t row_begin, row_end;
};

struct ActivationTier {
  void (*swiglu)(const SwiGluArgs&);
  // y[i] = e^x[i] for i < n, at most 1 ulp off: what SwiGLU and attention use.
  void (*exp)(const float* x, float* y, size_t n);
};

extern const ActivationTier kActivationScalar;
extern const ActivationTier kActivationAvx2;
extern const ActivationTier kActivationAvx512;

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ACTIVATION_TIER_H_
