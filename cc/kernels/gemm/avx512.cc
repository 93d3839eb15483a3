#include "cc/kernels/simd/avx512.h"

#include "cc/kernels/gemm/body.h"

namespace infeng {
namespace {

constexpr int kTileRows = 8;

// The places of Rows rows that begin at a multiple of Rows: one tile of QuantizedRows or, of eight
// rows, two whole ones.
template <int Rows>
struct RowPointers {
  static constexpr int kTiles = Rows > static_cast<int>(kRowTile) ? 2 : 1;
  RowPlace place[kTiles];
  size_t t;  // rows of each tile

  RowPointers(const QuantizedRows& x, size_t row) {
    for (int i = 0; i < kTiles; ++i) place[i] = PlaceOf(x, row + i * kRowTile);
    t = place[0].tile_rows;
  }
  // Of row i, digit 0: four of q at k; the index of scale, offset and sum at group g.
  const int8_t* q(int i, size_t k) const {
    return place[i / kRowTile].q + k * t + i % kRowTile * 4;
  }
  size_t at(int i, size_t g) const { return place[i / kRowTile].at + g * t + i % kRowTile; }
};

inline __m512i Broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof(four));
  return _mm512_set1_epi32(four);
}

// vpdpbusd multiplies unsigned by signed bytes. The weights get 128 added (bit 7 flipped) as they
// are loaded, which all rows share; the sum then starts from -128 * sum(q).
template <int Digits>
struct Int8Tile {
  static constexpr int kRows = kTileRows;

  template <int Rows>
  static inline void Run(const Int8LinearArgs& a, size_t panel, size_t row, size_t g, size_t g_end,
                         float* sums) {
    const QuantizedRows& x = a.x;
    const size_t groups = x.kp / x.group;
    const RowPointers<Rows> rows(x, row);
    const int8_t* w = a.w + panel * 16 * x.kp;
    const uint16_t* w_scale = a.scale + panel * groups * 16;
    const __m512i flip = _mm512_set1_epi8(-128);
    __m512 acc[Rows];
    for (int i = 0; i < Rows; ++i) acc[i] = _mm512_load_ps(sums + i * 16);
    for (; g < g_end; ++g) {
      __m512i sum[Rows][Digits];
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) {
          sum[i][d] = _mm512_set1_epi32(x.offset[rows.at(i, d * groups + g)]);
        }
      }
      for (size_t k = g * x.group; k < (g + 1) * x.group; k += 4) {
        const __m512i u = _mm512_xor_si512(_mm512_loadu_si512(w + k * 16), flip);
        for (int i = 0; i < Rows; ++i) {
          for (int d = 0; d < Digits; ++d) {
            sum[i][d] = _mm512_dpbusd_epi32(sum[i][d], u, Broadcast4(rows.q(i, d * x.kp + k)));
          }
        }
      }
      const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w_scale + g * 16));
      const __m512 ws = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) {
          const __m512 xs = _mm512_set1_ps(x.scale[rows.at(i, d * groups + g)]);
          acc[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[i][d]), _mm512_mul_ps(ws, xs), acc[i]);
        }
      }
    }
    for (int i = 0; i < Rows; ++i) _mm512_store_ps(sums + i * 16, acc[i]);
  }
};

template <int Digits>
struct Int4Tile {
  static constexpr int kRows = kTileRows;
  static constexpr size_t kGroup = 32;

  template <int Rows>
  static inline void Run(const Int4LinearArgs& a, size_t panel, size_t row, size_t g, size_t g_end,
                         float* sums) {
    const QuantizedRows& x = a.x;
    const size_t groups = x.kp / kGroup;
    const RowPointers<Rows> rows(x, row);
    const uint8_t* w = a.w + panel * 8 * x.kp;
    const uint16_t* w_scale = a.scale + panel * groups * 32;
    const __m512i low = _mm512_set1_epi8(15);
    __m512 acc[Rows];
    for (int i = 0; i < Rows; ++i) acc[i] = _mm512_load_ps(sums + i * 16);
    for (; g < g_end; ++g) {
      __m512i sum[Rows][Digits];
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) sum[i][d] = _mm512_setzero_si512();
      }
      for (size_t k = g * kGroup; k < (g + 1) * kGroup; k += 8) {
        const __m512i both = _mm512_loadu_si512(w + k * 8);
        const __m512i u0 = _mm512_and_si512(both, low);
        const __m512i u1 = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
        for (int i = 0; i < Rows; ++i) {
          for (int d = 0; d < Digits; ++d) {
            const int8_t* q = rows.q(i, d * x.kp + k);
            sum[i][d] = _mm512_dpbusd_epi32(sum[i][d], u0, Broadcast4(q));
            sum[i][d] = _mm512_dpbusd_epi32(sum[i][d], u1, Broadcast4(q + 4 * rows.t));
          }
        }
      }
      const V ws = LoadF16(w_scale + g * 32);
      const V wm = LoadF16(w_scale + g * 32 + 16);
      for (int i = 0; i < Rows; ++i) {
        for (int d = 0; d < Digits; ++d) {
          const size_t at = rows.at(i, d * groups + g);
          const __m512 scale = _mm512_mul_ps(ws.v, _mm512_set1_ps(x.scale[at]));
          acc[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[i][d]), scale, acc[i]);
          acc[i] = _mm512_fmadd_ps(wm.v, _mm512_set1_ps(x.sum[at]), acc[i]);
        }
      }
    }
    for (int i = 0; i < Rows; ++i) _mm512_store_ps(sums + i * 16, acc[i]);
  }
};

void Int8Linear(const Int8LinearArgs& a) {
  a.digits == 1 ? LinearPanels<Int8Tile<1>>(a) : LinearPanels<Int8Tile<2>>(a);
}

void Int4Linear(const Int4LinearArgs& a) {
  a.digits == 1 ? LinearPanels<Int4Tile<1>>(a) : LinearPanels<Int4Tile<2>>(a);
}

}  // namespace

const GemmTier kGemmAvx512 = {Quantize, Int8Linear, Int4Linear, F32Linear, 0};

}  // namespace infeng
