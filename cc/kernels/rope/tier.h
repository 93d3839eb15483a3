#ifndef INFENG_CC_KERNELS_ROPE_TIER_H_
#define INFENG_CC_KERNELS_ROPE_TIER_H_

#include <stddef.h>
#include <stdint.h>

// Plain-C views, safe to share with code that is compiled for other instruction sets.
namespace infeng {

// Rotates the halves of each head by the angles of one position: for i < head_dim / 2,
//   y[i] = fma(x[i], cos[i], -(x[i + half] * sin[i]))
//   y[i + half] = fma(x[i + half], cos[i], x[i] * sin[i])
struct RopeArgs {
  const float* x;  // [heads][head_dim]
  size_t heads;
  size_t head_dim;   // even
  const float* cos;  // [head_dim / 2]
  const float* sin;  // [head_dim / 2]
  float* y;          // [heads][padded_dim], zero beyond head_dim; not x
  size_t padded_dim;
};

struct RopeTier {
  void (*rope)(const RopeArgs&);
};

extern const RopeTier kRopeScalar;
extern const RopeTier kRopeAvx2;
extern const RopeTier kRopeAvx512;

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ROPE_TIER_H_
