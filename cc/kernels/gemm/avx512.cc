#include "cc/kernels/simd/avx512.h"

#include "cc/kernels/gemm/body.h"

namespace infeng {
namespace {

// vpdpbusd multiplies unsigned by signed bytes. The weights get 128 added (bit 7 flipped) as they
// are loaded, which all rows share; the sum then starts from -128 * sum(q).
template <int Rows, int Digits>
inline void Int8Tile(const Int8LinearArgs& a, size_t row, size_t panel) {
  const QuantizedRows& x = a.x;
  const size_t groups = x.kp / x.group;
  const int8_t* w = a.w + panel * 16 * x.kp;
  const uint16_t* w_scale = a.scale + panel * groups * 16;
  const int8_t* q = x.q + row * x.digits * x.kp;
  const size_t first = row * x.digits * groups;
  const __m512i flip = _mm512_set1_epi8(-128);
  __m512 acc[Rows];
  for (int i = 0; i < Rows; ++i) acc[i] = _mm512_setzero_ps();
  for (size_t g = 0; g < groups; ++g) {
    __m512i sum[Rows][Digits];
    for (int i = 0; i < Rows; ++i) {
      for (int d = 0; d < Digits; ++d) {
        sum[i][d] = _mm512_set1_epi32(x.offset[first + (i * x.digits + d) * groups + g]);
      }
    }
    for (size_t k = g * x.group; k < (g + 1) * x.group; k += 4) {
      const __m512i ws = _mm512_xor_si512(_mm512_loadu_si512(w + k * 16), flip);
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) {
          int32_t four;
          __builtin_memcpy(&four, q + (i * x.digits + d) * x.kp + k, sizeof(four));
          sum[i][d] = _mm512_dpbusd_epi32(sum[i][d], ws, _mm512_set1_epi32(four));
        }
      }
    }
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w_scale + g * 16));
    const __m512 ws = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    for (int i = 0; i < Rows; ++i) {
      for (int d = 0; d < Digits; ++d) {
        const __m512 xs = _mm512_set1_ps(x.scale[first + (i * x.digits + d) * groups + g]);
        acc[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[i][d]), _mm512_mul_ps(ws, xs), acc[i]);
      }
    }
  }
  const __mmask16 valid = Mask16(OutputsOfPanel(a, panel));
  for (int i = 0; i < Rows; ++i) {
    float* y = a.y + (row + i) * a.y_stride + panel * 16;
    if (a.accumulate) acc[i] = _mm512_add_ps(_mm512_maskz_loadu_ps(valid, y), acc[i]);
    _mm512_mask_storeu_ps(y, valid, acc[i]);
  }
}

template <int Digits>
void Int8Panels(const Int8LinearArgs& a) {
  for (size_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    size_t row = 0;
    for (; row + 8 <= a.rows; row += 8) Int8Tile<8, Digits>(a, row, panel);
    if (row + 4 <= a.rows) {
      Int8Tile<4, Digits>(a, row, panel);
      row += 4;
    }
    if (row + 2 <= a.rows) {
      Int8Tile<2, Digits>(a, row, panel);
      row += 2;
    }
    if (row < a.rows) Int8Tile<1, Digits>(a, row, panel);
  }
}

void Int8Linear(const Int8LinearArgs& a) {
  if (a.digits == 1) {
    Int8Panels<1>(a);
  } else {
    Int8Panels<2>(a);
  }
}

}  // namespace

const GemmTier kGemmAvx512 = {Quantize, Int8Linear, F32Linear};

}  // namespace infeng
