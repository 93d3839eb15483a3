#ifndef INFENG_CC_KERNELS_NORM_TIER_H_
#define INFENG_CC_KERNELS_NORM_TIER_H_

#include <stddef.h>
#include <stdint.h>

// Plain-C views, safe to share with code that is compiled for other instruction sets.
namespace infeng {

// y = x * (1 / sqrt(mean(x^2) + eps)) * weight, each row by itself, the sum in canonical order.
struct RmsNormArgs {
  const float* x;  // [rows][x_stride], zero from n to n rounded up to 16
  size_t x_stride;
  const float* weight;  // [n rounded up to 16]
  size_t n;
  float eps;
  float* y;  // [rows][y_stride], written up to n rounded up to 16; may be x
  size_t y_stride;
  size_t row_begin, row_end;
};

struct NormTier {
  void (*rms_norm)(const RmsNormArgs&);
};

extern const NormTier kNormScalar;
extern const NormTier kNormAvx2;
extern const NormTier kNormAvx512;

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_NORM_TIER_H_
