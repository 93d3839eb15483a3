#include "cc/kernels/simd/avx2.h"

#include "cc/kernels/gemm/body.h"

namespace infeng {
namespace {

// vpmaddubsw multiplies unsigned by signed bytes and adds pairs in int16: |w| times q with w's
// sign. With both within 127, a pair is at most 32258, so it cannot saturate.
// Eight outputs (half a panel) of `Rows` rows.
template <int Rows, int Digits>
inline void Int8Tile(const Int8LinearArgs& a, size_t row, size_t panel, size_t half) {
  const QuantizedRows& x = a.x;
  const size_t groups = x.kp / x.group;
  const int8_t* w = a.w + panel * 16 * x.kp + half * 32;
  const uint16_t* w_scale = a.scale + panel * groups * 16 + half * 8;
  const int8_t* q = x.q + row * x.digits * x.kp;
  const size_t first = row * x.digits * groups;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 acc[Rows];
  for (int i = 0; i < Rows; ++i) acc[i] = _mm256_setzero_ps();
  for (size_t g = 0; g < groups; ++g) {
    __m256i sum[Rows][Digits];
    for (int i = 0; i < Rows; ++i) {
      for (int d = 0; d < Digits; ++d) sum[i][d] = _mm256_setzero_si256();
    }
    for (size_t k = g * x.group; k < (g + 1) * x.group; k += 4) {
      const __m256i ws = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + k * 16));
      const __m256i magnitude = _mm256_abs_epi8(ws);
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) {
          int32_t four;
          __builtin_memcpy(&four, q + (i * x.digits + d) * x.kp + k, sizeof(four));
          const __m256i signed_q = _mm256_sign_epi8(_mm256_set1_epi32(four), ws);
          const __m256i pairs = _mm256_maddubs_epi16(magnitude, signed_q);
          sum[i][d] = _mm256_add_epi32(sum[i][d], _mm256_madd_epi16(pairs, ones));
        }
      }
    }
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w_scale + g * 16));
    const __m256 ws = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
    for (int i = 0; i < Rows; ++i) {
      for (int d = 0; d < Digits; ++d) {
        const __m256 xs = _mm256_set1_ps(x.scale[first + (i * x.digits + d) * groups + g]);
        acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[i][d]), _mm256_mul_ps(ws, xs), acc[i]);
      }
    }
  }
  const size_t count = OutputsOfPanel(a, panel);
  if (count <= half * 8) return;
  const __m256i valid = Mask8(count - half * 8);
  for (int i = 0; i < Rows; ++i) {
    float* y = a.y + (row + i) * a.y_stride + panel * 16 + half * 8;
    if (a.accumulate) acc[i] = _mm256_add_ps(_mm256_maskload_ps(y, valid), acc[i]);
    _mm256_maskstore_ps(y, valid, acc[i]);
  }
}

template <int Digits>
void Int8Panels(const Int8LinearArgs& a) {
  constexpr int kRows = Digits == 1 ? 4 : 2;
  for (size_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    for (size_t half = 0; half < 2; ++half) {
      size_t row = 0;
      for (; row + kRows <= a.rows; row += kRows) Int8Tile<kRows, Digits>(a, row, panel, half);
      for (; row < a.rows; ++row) Int8Tile<1, Digits>(a, row, panel, half);
    }
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

const GemmTier kGemmAvx2 = {Quantize, Int8Linear, F32Linear};

}  // namespace infeng
