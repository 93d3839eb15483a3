#ifndef INFENG_CC_KERNELS_GEMM_TIER_H_
#define INFENG_CC_KERNELS_GEMM_TIER_H_

#include <stddef.h>
#include <stdint.h>

// Plain-C views, safe to share with code that is compiled for other instruction sets.
namespace infeng {

// Rows that lie side by side in QuantizedRows.
constexpr size_t kRowTile = 4;
// The same for q of wide ones, as AMX tiles take them.
constexpr size_t kWideTile = 16;

// Activations in int8: x[row][k] = sum over digits d of scale(row, d, k / group) * q(row, d, k).
// k is padded with zeros to kp, a multiple of group; groups = kp / group.
// In tiles of kRowTile rows, the last with those that are left: a tile of t rows has
//   q [digits][kp / 4][t][4], within -127..127, and
//   scale, offset, sum [digits][groups][t]: offset is -128 * sum of q, sum is scale * sum of q.
// If wide, q is [rows / kWideTile, rounded up][digits][kp / tile_k][kWideTile][tile_k] instead,
// with tile_k = 64 if that divides group, else 32; what the last tile has beyond rows is not read
// as a row's, and may be anything.
struct QuantizedRows {
  int8_t* q;        // [rows * digits * kp]; if wide, rows rounded up to kWideTile
  float* scale;     // [rows * digits * groups]
  int32_t* offset;  // the same
  float* sum;       // the same
  size_t rows;
  size_t digits;  // 1 or 2
  size_t kp;
  size_t group;  // a multiple of 32
  bool wide = false;
};

struct QuantizeArgs {
  const float* x;  // [rows][x_stride], zero from k to k rounded up to 16
  size_t x_stride;
  size_t k;
  size_t row_begin, row_end;  // of out
  QuantizedRows out;
};

// y[row][n] (+)= sum over k of x[row][k] * w[n][k], for panels of 16 outputs.
// In f32 from +0, for each group in order and each digit in order:
//   acc = fma(float(integer sum), w_scale * x_scale, acc)
struct Int8LinearArgs {
  const int8_t* w;        // [panels][kp / 4][16][4], within -127..127
  const uint16_t* scale;  // [panels][groups][16] bfloat16
  size_t digits;          // of the input to use: at most x.digits
  QuantizedRows x;
  size_t n;  // outputs; those of the last panel beyond n are not written
  size_t panel_begin, panel_end;
  float* y;  // [rows][y_stride]
  size_t y_stride;
  bool accumulate;  // y = y + result, else y = result
};

// y[row][n] (+)= sum over k of x[row][k] * w[n][k] with w = scale * u + min, u in 0..15.
// In f32 from +0, for each group in order and each digit in order:
//   acc = fma(float(integer sum of u * q), w_scale * x_scale, acc)
//   acc = fma(w_min, x_sum, acc)
struct Int4LinearArgs {
  const uint8_t* w;       // [panels][kp / 8][16][4]: byte j has k + j below, k + 4 + j above
  const uint16_t* scale;  // [panels][groups][2][16] binary16: scales, then minima
  size_t digits;          // of the input to use: at most x.digits
  QuantizedRows x;        // groups of 32
  size_t n;               // outputs; those of the last panel beyond n are not written
  size_t panel_begin, panel_end;
  float* y;  // [rows][y_stride]
  size_t y_stride;
  bool accumulate;  // y = y + result, else y = result
};

// y[row][n] (+)= the canonical sum of x[row][k] * w[n][k].
struct F32LinearArgs {
  const float* w;  // [n][kp], kp a multiple of 16, zero from k to kp
  size_t kp;
  const float* x;  // [rows][x_stride], zero from k to kp
  size_t x_stride;
  size_t rows;
  size_t n_begin, n_end;
  float* y;  // [rows][y_stride]
  size_t y_stride;
  bool accumulate;
};

struct GemmTier {
  // Per row and group: amax = max |x|, scale = amax / 127, q = rne(x * (127 / amax)); scale and q
  // are 0 if 127 / amax overflows, scale is NaN and q 0 if amax is not finite. A second digit
  // holds the remainder r = fma(-scale, q, x) with scale2 = scale / 254 and
  // q2 = clamp(rne(r * (1 / scale2)), -127, 127); both are 0 if 1 / scale2 overflows.
  void (*quantize)(const QuantizeArgs&);
  void (*int8_linear)(const Int8LinearArgs&);
  void (*int4_linear)(const Int4LinearArgs&);
  void (*f32_linear)(const F32LinearArgs&);
  // Of so many rows on, quantised rows must be wide, below not; 0 if never.
  size_t wide_rows;

  bool Wide(size_t rows) const { return wide_rows != 0 && rows >= wide_rows; }
};

extern const GemmTier kGemmScalar;
extern const GemmTier kGemmAvx2;
extern const GemmTier kGemmAvx512;
extern const GemmTier kGemmAmx;

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_GEMM_TIER_H_
