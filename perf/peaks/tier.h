#ifndef INFENG_PERF_PEAKS_TIER_H_
#define INFENG_PERF_PEAKS_TIER_H_

#include <stddef.h>
#include <stdint.h>

namespace infeng {

// Loops that do nothing but what a core does fastest. Their results only keep them alive.
struct PeakTier {
  // Multiply-adds of bytes summed in int32, operands in registers.
  int32_t (*int8)(size_t rounds);
  size_t int8_ops;  // per round; a multiply and an add are two
  // Multiply-adds of f32, operands in registers.
  float (*f32)(size_t rounds);
  size_t f32_ops;
  // Loads each byte once; bytes is a multiple of 256, data lies on a 64-byte boundary.
  uint64_t (*read)(const void* data, size_t bytes);
};

extern const PeakTier kPeakScalar;
extern const PeakTier kPeakAvx2;
extern const PeakTier kPeakAvx512;
extern const PeakTier kPeakAmx;

}  // namespace infeng

#endif  // INFENG_PERF_PEAKS_TIER_H_
