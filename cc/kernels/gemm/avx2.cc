#include "cc/kernels/simd/avx2.h"

#include "cc/kernels/gemm/body.h"

namespace infeng {
namespace {

// Each of eight lanes: the same four bytes of q.
inline __m256i Broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof(four));
  return _mm256_set1_epi32(four);
}

inline __m256i LoadInts(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// Weights come from memory in one stream, longer than the hardware looks ahead.
inline void Prefetch(const void* w) {
  _mm_prefetch(static_cast<const char*>(w) + 4096, _MM_HINT_T0);
}

// Keeps the compiler from adding in another order, which costs more registers than there are.
inline void Pin(__m256i& v) { __asm__("" : "+x"(v)); }

// The same, and what has this mark stays in its order.
inline void Hold(__m256i& v) { __asm__ volatile("" : "+x"(v)); }

// A bfloat16 is the upper half of its f32.
inline __m256 LoadBfloat16(const uint16_t* p) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i low_upper = _mm_setr_epi8(-1, -1, 0, 1, -1, -1, 2, 3, -1, -1, 4, 5, -1, -1, 6, 7);
  const __m128i high_upper =
      _mm_setr_epi8(-1, -1, 8, 9, -1, -1, 10, 11, -1, -1, 12, 13, -1, -1, 14, 15);
  return _mm256_castsi256_ps(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(halves),
                                                 _mm256_set_m128i(high_upper, low_upper)));
}

// vpmaddubsw multiplies unsigned by signed bytes and adds pairs in int16: |w| times q with w's
// sign. With both within 127, a pair is at most 32258, so it cannot saturate.

// One row is what a decode step has, and has to keep up with memory. The floating-point part of a
// group waits for its last product, and what waits fills the CPU's queues: so it is put off into
// the middle of the next group. The sign goes to w, so that only q needs an absolute value.
inline void Int8Row(const Int8LinearArgs& a, size_t panel, size_t row, size_t g, size_t g_end,
                    float* sums) {
  const QuantizedRows& x = a.x;
  const size_t groups = x.kp / x.group;
  const int8_t* w = a.w + panel * 16 * x.kp + g * x.group * 16;
  const uint16_t* w_scale = a.scale + (panel * groups + g) * 16;
  const RowPlace place = PlaceOf(x, row);
  const size_t t = place.tile_rows;
  const int8_t* q = place.q + g * x.group * t;
  const float* x_scale = x.scale + place.at + g * t;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 acc[2] = {_mm256_load_ps(sums), _mm256_load_ps(sums + 8)};
  __m256i sum[2];
  __m256i last[2];  // of the group before
  const auto step = [&](size_t i) __attribute__((always_inline)) {
    Prefetch(w + i * 64);
    const __m256i four = Broadcast4(q + i * 4 * t);
    const __m256i u = _mm256_abs_epi8(four);
    for (int h = 0; h < 2; ++h) {
      const __m256i signed_w = _mm256_sign_epi8(LoadInts(w + i * 64 + h * 32), four);
      const __m256i pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(u, signed_w), ones);
      sum[h] = _mm256_add_epi32(sum[h], pairs);
    }
    Hold(sum[0]);
    Hold(sum[1]);
  };
  const auto finish = [&] {
    const __m256 xs = _mm256_set1_ps(x_scale[-static_cast<ptrdiff_t>(t)]);
    for (int h = 0; h < 2; ++h) {
      const __m256 scale = _mm256_mul_ps(LoadBfloat16(w_scale - 16 + h * 8), xs);
      acc[h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(last[h]), scale, acc[h]);
    }
  };
  for (const size_t first = g; g < g_end; ++g, w_scale += 16, x_scale += t) {
    sum[0] = sum[1] = _mm256_setzero_si256();
    for (size_t k = 0; k < x.group; k += 16, w += 256, q += 16 * t) {
      step(0);
      step(1);
      if (k == 0 && g != first) finish();
      step(2);
      step(3);
    }
    last[0] = sum[0];
    last[1] = sum[1];
  }
  finish();
  _mm256_store_ps(sums, acc[0]);
  _mm256_store_ps(sums + 8, acc[1]);
}

template <int Digits>
struct Int8Tile {
  static constexpr int kRows = Digits == 1 ? 4 : 2;

  template <int Rows>
  static inline void Run(const Int8LinearArgs& a, size_t panel, size_t row, size_t g, size_t g_end,
                         float* sums) {
    if constexpr (Rows * Digits == 1) return Int8Row(a, panel, row, g, g_end, sums);
    const QuantizedRows& x = a.x;
    const size_t groups = x.kp / x.group;
    const int8_t* w = a.w + panel * 16 * x.kp + g * x.group * 16;
    const uint16_t* w_scale = a.scale + (panel * groups + g) * 16;
    const RowPlace place = PlaceOf(x, row);
    const size_t t = Rows == kRowTile ? kRowTile : place.tile_rows;
    const int8_t* q = place.q + g * x.group * t;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256 acc[Rows][2];
    for (int i = 0; i < Rows; ++i) {
      for (int h = 0; h < 2; ++h) acc[i][h] = _mm256_load_ps(sums + i * 16 + h * 8);
    }
    for (; g < g_end; ++g, w_scale += 16) {
      __m256i sum[Rows][Digits][2];
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) {
          for (int h = 0; h < 2; ++h) sum[i][d][h] = _mm256_setzero_si256();
        }
      }
#pragma clang loop unroll_count(2)
      for (size_t k = 0; k < x.group; k += 4, w += 64, q += 4 * t) {
        Prefetch(w);
        const __m256i w0 = LoadInts(w);
        const __m256i w1 = LoadInts(w + 32);
        const __m256i u0 = _mm256_abs_epi8(w0);
        const __m256i u1 = _mm256_abs_epi8(w1);
        for (int i = 0; i < Rows; ++i) {
          for (int d = 0; d < Digits; ++d) {
            const __m256i four = Broadcast4(q + d * x.kp * t + i * 4);
            const __m256i q0 = _mm256_sign_epi8(four, w0);
            const __m256i q1 = _mm256_sign_epi8(four, w1);
            const __m256i p0 = _mm256_madd_epi16(_mm256_maddubs_epi16(u0, q0), ones);
            const __m256i p1 = _mm256_madd_epi16(_mm256_maddubs_epi16(u1, q1), ones);
            sum[i][d][0] = _mm256_add_epi32(sum[i][d][0], p0);
            sum[i][d][1] = _mm256_add_epi32(sum[i][d][1], p1);
            Pin(sum[i][d][0]);
            Pin(sum[i][d][1]);
          }
        }
      }
      const __m256 ws0 = LoadBfloat16(w_scale);
      const __m256 ws1 = LoadBfloat16(w_scale + 8);
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) {
          const __m256 xs = _mm256_set1_ps(x.scale[place.at + (d * groups + g) * t + i]);
          acc[i][0] =
              _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[i][d][0]), _mm256_mul_ps(ws0, xs), acc[i][0]);
          acc[i][1] =
              _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[i][d][1]), _mm256_mul_ps(ws1, xs), acc[i][1]);
        }
      }
    }
    for (int i = 0; i < Rows; ++i) {
      for (int h = 0; h < 2; ++h) _mm256_store_ps(sums + i * 16 + h * 8, acc[i][h]);
    }
  }
};

// A pair of u * q is at most 2 * 15 * 127 = 3810, so the eight pairs that a group of 32 adds to an
// int16 lane stay below 2^15: they are widened once a group.
template <int Digits>
struct Int4Tile {
  static constexpr int kRows = Digits == 1 ? 4 : 2;
  static constexpr size_t kGroup = 32;

  template <int Rows>
  static inline void Run(const Int4LinearArgs& a, size_t panel, size_t row, size_t g, size_t g_end,
                         float* sums) {
    const QuantizedRows& x = a.x;
    const size_t groups = x.kp / kGroup;
    const uint8_t* w = a.w + panel * 8 * x.kp + g * kGroup * 8;
    const uint16_t* w_scale = a.scale + (panel * groups + g) * 32;
    const RowPlace place = PlaceOf(x, row);
    const size_t t = Rows == kRowTile ? kRowTile : place.tile_rows;
    const int8_t* q = place.q + g * kGroup * t;
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i low = _mm256_set1_epi8(15);
    __m256 acc[Rows][2];
    for (int i = 0; i < Rows; ++i) {
      for (int h = 0; h < 2; ++h) acc[i][h] = _mm256_load_ps(sums + i * 16 + h * 8);
    }
    for (; g < g_end; ++g, w_scale += 32) {
      __m256i sum[Rows][Digits][2];
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) {
          for (int h = 0; h < 2; ++h) sum[i][d][h] = _mm256_setzero_si256();
        }
      }
      for (size_t k = 0; k < kGroup; k += 8, w += 64, q += 8 * t) {
        Prefetch(w);
        const __m256i w0 = LoadInts(w);
        const __m256i w1 = LoadInts(w + 32);
        for (int nibble = 0; nibble < 2; ++nibble) {
          const __m256i u0 = _mm256_and_si256(nibble ? _mm256_srli_epi16(w0, 4) : w0, low);
          const __m256i u1 = _mm256_and_si256(nibble ? _mm256_srli_epi16(w1, 4) : w1, low);
          for (int i = 0; i < Rows; ++i) {
            for (int d = 0; d < Digits; ++d) {
              const __m256i four = Broadcast4(q + d * x.kp * t + nibble * 4 * t + i * 4);
              sum[i][d][0] = _mm256_add_epi16(sum[i][d][0], _mm256_maddubs_epi16(u0, four));
              sum[i][d][1] = _mm256_add_epi16(sum[i][d][1], _mm256_maddubs_epi16(u1, four));
              Pin(sum[i][d][0]);
              Pin(sum[i][d][1]);
            }
          }
        }
      }
      const V ws = LoadF16(w_scale);
      const V wm = LoadF16(w_scale + 16);
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) {
          const size_t at = place.at + (d * groups + g) * t + i;
          const __m256 xs = _mm256_set1_ps(x.scale[at]);
          const __m256 x_sum = _mm256_set1_ps(x.sum[at]);
          const __m256 s0 = _mm256_cvtepi32_ps(_mm256_madd_epi16(sum[i][d][0], ones));
          const __m256 s1 = _mm256_cvtepi32_ps(_mm256_madd_epi16(sum[i][d][1], ones));
          acc[i][0] = _mm256_fmadd_ps(s0, _mm256_mul_ps(ws.lo, xs), acc[i][0]);
          acc[i][1] = _mm256_fmadd_ps(s1, _mm256_mul_ps(ws.hi, xs), acc[i][1]);
          acc[i][0] = _mm256_fmadd_ps(wm.lo, x_sum, acc[i][0]);
          acc[i][1] = _mm256_fmadd_ps(wm.hi, x_sum, acc[i][1]);
        }
      }
    }
    for (int i = 0; i < Rows; ++i) {
      for (int h = 0; h < 2; ++h) _mm256_store_ps(sums + i * 16 + h * 8, acc[i][h]);
    }
  }
};

void Int8Linear(const Int8LinearArgs& a) {
  a.digits == 1 ? LinearPanels<Int8Tile<1>>(a) : LinearPanels<Int8Tile<2>>(a);
}

void Int4Linear(const Int4LinearArgs& a) {
  a.digits == 1 ? LinearPanels<Int4Tile<1>>(a) : LinearPanels<Int4Tile<2>>(a);
}

}  // namespace

const GemmTier kGemmAvx2 = {Quantize, Int8Linear, Int4Linear, F32Linear, 0};

}  // namespace infeng
