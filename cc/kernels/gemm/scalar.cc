#include "cc/kernels/simd/scalar.h"

#include "cc/kernels/gemm/body.h"

namespace infeng {
namespace {

// One row of one panel: 16 outputs.
void Int8Panel(const Int8LinearArgs& a, size_t row, size_t panel) {
  const QuantizedRows& x = a.x;
  const size_t groups = x.kp / x.group;
  float acc[16] = {};
  for (size_t g = 0; g < groups; ++g) {
    const int8_t* w = a.w + panel * 16 * x.kp + g * x.group * 16;
    const uint16_t* w_scale = a.scale + (panel * groups + g) * 16;
    for (size_t d = 0; d < a.digits; ++d) {
      const int8_t* q = x.q + (row * x.digits + d) * x.kp + g * x.group;
      const float x_scale = x.scale[(row * x.digits + d) * groups + g];
      int32_t sum[16] = {};
      for (size_t k = 0; k < x.group; k += 4) {
        for (size_t n = 0; n < 16; ++n) {
          const int8_t* wn = w + k * 16 + n * 4;
          sum[n] += wn[0] * q[k] + wn[1] * q[k + 1] + wn[2] * q[k + 2] + wn[3] * q[k + 3];
        }
      }
      for (size_t n = 0; n < 16; ++n) {
        const float scale = FromBits(static_cast<uint32_t>(w_scale[n]) << 16) * x_scale;
        acc[n] = fmaf(static_cast<float>(sum[n]), scale, acc[n]);
      }
    }
  }
  float* y = a.y + row * a.y_stride + panel * 16;
  const size_t count = OutputsOfPanel(a, panel);
  for (size_t n = 0; n < count; ++n) y[n] = a.accumulate ? y[n] + acc[n] : acc[n];
}

void Int8Linear(const Int8LinearArgs& a) {
  for (size_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    for (size_t row = 0; row < a.rows; ++row) Int8Panel(a, row, panel);
  }
}

}  // namespace

const GemmTier kGemmScalar = {Quantize, Int8Linear, F32Linear};

}  // namespace infeng
