#ifndef INFENG_CC_KERNELS_LORA_TIER_H_
#define INFENG_CC_KERNELS_LORA_TIER_H_

#include <stddef.h>
#include <stdint.h>

// Plain-C views, safe to share with code that is compiled for other instruction sets.
//
// A low-rank update of some rows: y[row] += B (scale * (A x[row])), in f32, with A and B in
// binary16. Rows come as indices, so those of one adapter need not lie side by side.
namespace infeng {

// low[row][r] = scale * sum over k of a[r][k] * x[row][k]. From +0 with fma: even k and odd k in
// order, apart; then even + odd.
struct LoraShrinkArgs {
  const uint16_t* a;  // [rank rounded up to 8, / 8][kp / 2][8][2]: eight of rank, each with a pair
                      // of k; zero beyond rank and k
  size_t rank;
  size_t kp;       // k rounded up to 16
  const float* x;  // [..][x_stride], zero from k to kp
  size_t x_stride;
  const uint32_t* rows;
  size_t row_count;
  float scale;
  float* low;  // [..][low_stride], written for rank rounded up to 8
  size_t low_stride;
};

// y[row][n] += sum over r of b[n][r] * low[row][r], for panels of 16 outputs: from +0 with fma, r
// in order.
struct LoraExpandArgs {
  const uint16_t* b;  // [n rounded up to 16, / 16][rank][16]
  size_t rank;
  const float* low;  // [..][low_stride]
  size_t low_stride;
  const uint32_t* rows;
  size_t row_count;
  size_t n;  // outputs; those of the last panel beyond n are not written
  size_t panel_begin, panel_end;
  float* y;  // [..][y_stride]
  size_t y_stride;
};

struct LoraTier {
  void (*shrink)(const LoraShrinkArgs&);
  void (*expand)(const LoraExpandArgs&);
};

extern const LoraTier kLoraScalar;
extern const LoraTier kLoraAvx2;
extern const LoraTier kLoraAvx512;

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_LORA_TIER_H_
