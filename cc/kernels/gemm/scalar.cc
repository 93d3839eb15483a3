#include "cc/kernels/simd/scalar.h"

#include "cc/kernels/gemm/body.h"

namespace infeng {
namespace {

struct Int8Tile {
  static constexpr int kRows = 1;

  template <int Rows>
  static void Run(const Int8LinearArgs& a, size_t panel, size_t row, size_t g, size_t g_end,
                  float* acc) {
    const QuantizedRows& x = a.x;
    const size_t groups = x.kp / x.group;
    const RowPlace place = PlaceOf(x, row);
    const size_t t = place.tile_rows;
    for (; g < g_end; ++g) {
      const int8_t* w = a.w + panel * 16 * x.kp + g * x.group * 16;
      const uint16_t* w_scale = a.scale + (panel * groups + g) * 16;
      for (size_t d = 0; d < a.digits; ++d) {
        const int8_t* q = place.q + (d * x.kp + g * x.group) * t;
        const float x_scale = x.scale[place.at + (d * groups + g) * t];
        int32_t sum[16] = {};
        for (size_t k = 0; k < x.group; k += 4) {
          for (size_t n = 0; n < 16; ++n) {
            const int8_t* wn = w + k * 16 + n * 4;
            const int8_t* qk = q + k * t;
            sum[n] += wn[0] * qk[0] + wn[1] * qk[1] + wn[2] * qk[2] + wn[3] * qk[3];
          }
        }
        for (size_t n = 0; n < 16; ++n) {
          const float scale = FromBits(static_cast<uint32_t>(w_scale[n]) << 16) * x_scale;
          acc[n] = fmaf(static_cast<float>(sum[n]), scale, acc[n]);
        }
      }
    }
  }
};

struct Int4Tile {
  static constexpr int kRows = 1;

  template <int Rows>
  static void Run(const Int4LinearArgs& a, size_t panel, size_t row, size_t g, size_t g_end,
                  float* acc) {
    constexpr size_t kGroup = 32;
    const QuantizedRows& x = a.x;
    const size_t groups = x.kp / kGroup;
    const RowPlace place = PlaceOf(x, row);
    const size_t t = place.tile_rows;
    for (; g < g_end; ++g) {
      const uint8_t* w = a.w + (panel * x.kp + g * kGroup) * 8;
      const V w_scale = LoadF16(a.scale + (panel * groups + g) * 32);
      const V w_min = LoadF16(a.scale + (panel * groups + g) * 32 + 16);
      for (size_t d = 0; d < a.digits; ++d) {
        const int8_t* q = place.q + (d * x.kp + g * kGroup) * t;
        const size_t at = place.at + (d * groups + g) * t;
        for (size_t n = 0; n < 16; ++n) {
          int32_t sum = 0;
          for (size_t k = 0; k < kGroup; ++k) {
            const int byte = w[k / 8 * 64 + n * 4 + k % 4];
            sum += (k % 8 < 4 ? byte & 15 : byte >> 4) * q[k / 4 * 4 * t + k % 4];
          }
          acc[n] = fmaf(static_cast<float>(sum), w_scale.lane[n] * x.scale[at], acc[n]);
          acc[n] = fmaf(w_min.lane[n], x.sum[at], acc[n]);
        }
      }
    }
  }
};

void Int8Linear(const Int8LinearArgs& a) { LinearPanels<Int8Tile>(a); }

void Int4Linear(const Int4LinearArgs& a) { LinearPanels<Int4Tile>(a); }

}  // namespace

const GemmTier kGemmScalar = {Quantize, Int8Linear, Int4Linear, F32Linear, 0};

}  // namespace infeng
