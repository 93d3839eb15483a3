#include "cc/kernels/simd/avx512.h"

#include "cc/kernels/gemm/body.h"

namespace infeng {
namespace {

// vpdpbusd multiplies unsigned by signed bytes. Int8 weights get 128 added (bit 7 flipped); the
// sum then starts from -128 * sum(q).

inline __m512i Broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof(four));
  return _mm512_set1_epi32(four);
}

struct Int8Weights {
  using Args = Int8LinearArgs;
  static constexpr bool kMins = false;
  static constexpr size_t kBytesOf8 = 128;  // of a panel, of eight of k

  static inline const uint8_t* At(const Args& a, size_t panel, size_t k) {
    return reinterpret_cast<const uint8_t*>(a.w) + (panel * a.x.kp + k) * 16;
  }
  // Two fours of k, unsigned.
  static inline void Load8(const uint8_t* w, __m512i* u) {
    const __m512i flip = _mm512_set1_epi8(-128);
    u[0] = _mm512_xor_si512(_mm512_loadu_si512(w), flip);
    u[1] = _mm512_xor_si512(_mm512_loadu_si512(w + 64), flip);
  }
  static inline __m512i Start(const QuantizedRows& x, size_t at) {
    return _mm512_set1_epi32(x.offset[at]);
  }
  static inline const uint16_t* ScalesAt(const Args& a, size_t panel, size_t group) {
    return a.scale + (panel * (a.x.kp / a.x.group) + group) * 16;
  }
  static constexpr size_t kScales = 16;  // of a panel and group
  static inline void Scales(const uint16_t* at, __m512* scale, __m512* /*min*/) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    *scale = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
};

struct Int4Weights {
  using Args = Int4LinearArgs;
  static constexpr bool kMins = true;
  static constexpr size_t kBytesOf8 = 64;

  static inline const uint8_t* At(const Args& a, size_t panel, size_t k) {
    return a.w + (panel * a.x.kp + k) * 8;
  }
  static inline void Load8(const uint8_t* w, __m512i* u) {
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i both = _mm512_loadu_si512(w);
    u[0] = _mm512_and_si512(both, low);
    u[1] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
  }
  static inline __m512i Start(const QuantizedRows& /*x*/, size_t /*at*/) {
    return _mm512_setzero_si512();
  }
  static inline const uint16_t* ScalesAt(const Args& a, size_t panel, size_t group) {
    return a.scale + (panel * (a.x.kp / a.x.group) + group) * 32;
  }
  static constexpr size_t kScales = 32;
  static inline void Scales(const uint16_t* at, __m512* scale, __m512* min) {
    *scale = LoadF16(at).v;
    *min = LoadF16(at + 16).v;
  }
};

template <class Args>
inline void WriteOut(const Args& a, size_t row, size_t panel, __m512 sum) {
  const size_t count = OutputsOfPanel(a, panel);
  float* y = a.y + row * a.y_stride + panel * 16;
  V result = {sum};
  if (a.accumulate) result = Add(LoadN(y, count), result);
  StoreN(y, result, count);
}

// Few rows are bound by reading the weights, which comes faster in several streams: so several
// panels at once, whose weights go from memory to registers.
template <class Weights, int Rows, int Digits, int Panels>
inline void Streams(const typename Weights::Args& a, size_t row, size_t panel) {
  const QuantizedRows& x = a.x;
  const size_t groups = x.kp / x.group;
  const RowPlace place = PlaceOf(x, row);
  const size_t t = place.tile_rows;
  const uint8_t* w[Panels];
  const uint16_t* scales[Panels];
  __m512 acc[Rows][Panels];
#pragma unroll
  for (int p = 0; p < Panels; ++p) {
    w[p] = Weights::At(a, panel + p, 0);
    scales[p] = Weights::ScalesAt(a, panel + p, 0);
#pragma unroll
    for (int i = 0; i < Rows; ++i) acc[i][p] = _mm512_setzero_ps();
  }
  const int8_t* q = place.q;
  size_t at = 0;     // in the panels
  size_t scale = 0;  // in the scales
  for (size_t g = 0; g < groups; ++g, scale += Weights::kScales) {
    __m512i sum[Rows][Digits][Panels];
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
#pragma unroll
      for (int d = 0; d < Digits; ++d) {
        const __m512i start = Weights::Start(x, place.at + (d * groups + g) * t + i);
#pragma unroll
        for (int p = 0; p < Panels; ++p) sum[i][d][p] = start;
      }
    }
    for (size_t k = 0; k < x.group; k += 8, at += Weights::kBytesOf8, q += 8 * t) {
#pragma unroll
      for (int p = 0; p < Panels; ++p) {
        __m512i u[2];
        Weights::Load8(w[p] + at, u);
#pragma unroll
        for (int i = 0; i < Rows; ++i) {
#pragma unroll
          for (int d = 0; d < Digits; ++d) {
            const int8_t* four = q + d * x.kp * t + i * 4;
            sum[i][d][p] = _mm512_dpbusd_epi32(sum[i][d][p], u[0], Broadcast4(four));
            sum[i][d][p] = _mm512_dpbusd_epi32(sum[i][d][p], u[1], Broadcast4(four + 4 * t));
          }
        }
      }
    }
#pragma unroll
    for (int p = 0; p < Panels; ++p) {
      __m512 ws;
      __m512 wm;
      Weights::Scales(scales[p] + scale, &ws, &wm);
#pragma unroll
      for (int i = 0; i < Rows; ++i) {
#pragma unroll
        for (int d = 0; d < Digits; ++d) {
          const size_t index = place.at + (d * groups + g) * t + i;
          const __m512 both = _mm512_mul_ps(ws, _mm512_set1_ps(x.scale[index]));
          acc[i][p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[i][d][p]), both, acc[i][p]);
          if constexpr (Weights::kMins) {
            acc[i][p] = _mm512_fmadd_ps(wm, _mm512_set1_ps(x.sum[index]), acc[i][p]);
          }
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < Rows; ++i) {
#pragma unroll
    for (int p = 0; p < Panels; ++p) WriteOut(a, row + i, panel + p, acc[i][p]);
  }
}

template <class Weights, int Digits, int Panels>
inline void StreamRows(const typename Weights::Args& a, size_t panel) {
  for (size_t row = 0; row < a.x.rows; row += kRowTile) {
    switch (a.x.rows - row) {
      case 1:
        Streams<Weights, 1, Digits, Panels>(a, row, panel);
        break;
      case 2:
        Streams<Weights, 2, Digits, Panels>(a, row, panel);
        break;
      case 3:
        Streams<Weights, 3, Digits, Panels>(a, row, panel);
        break;
      default:
        Streams<Weights, 4, Digits, Panels>(a, row, panel);
    }
  }
}

template <class Weights, int Digits>
void StreamLinear(const typename Weights::Args& a) {
  // As many as registers have room for.
  constexpr size_t kOfOne = 8;
  constexpr size_t kOfMore = 4 / Digits;
  size_t panel = a.panel_begin;
  if (a.x.rows == 1) {
    for (; panel + kOfOne <= a.panel_end; panel += kOfOne) {
      Streams<Weights, 1, Digits, kOfOne>(a, 0, panel);
    }
  }
  for (; panel + kOfMore <= a.panel_end; panel += kOfMore) {
    StreamRows<Weights, Digits, kOfMore>(a, panel);
  }
  for (; panel < a.panel_end; ++panel) StreamRows<Weights, Digits, 1>(a, panel);
}

// Many rows, from so many on, are bound by multiplying. Two panels' weights for a block of k become
// unsigned bytes once, which all rows share.
constexpr size_t kManyRows = 17;
constexpr size_t kManyBlockK = 512;
constexpr int kPanels = 2;
// Rows whose sums wait while k goes on, and how many are multiplied at once.
constexpr int kTileRows = 12;
constexpr size_t kWaitingRows = 8 * kTileRows;
constexpr size_t kBlockGroups = kManyBlockK / 32;

template <class Weights, int Digits>
struct Strip {
  const typename Weights::Args& a;
  size_t panel;
  int panels;  // 1 or 2
  size_t row_begin, row_end;
  size_t groups;  // of all k
  alignas(64) float acc[kWaitingRows][kPanels][16];
  alignas(64) uint8_t w[kManyBlockK / 4][kPanels][64];
  alignas(64) float scale[kBlockGroups][kPanels][16];
  alignas(64) float min[Weights::kMins ? kBlockGroups : 1][kPanels][16];

  Strip(const typename Weights::Args& a, size_t panel, int panels, size_t row_begin, size_t row_end)
      : a(a),
        panel(panel),
        panels(panels),
        row_begin(row_begin),
        row_end(row_end),
        groups(a.x.kp / a.x.group) {
    if (panels == kPanels) return;
    // The absent panel is multiplied too, and not written.
    for (auto& pair : w) _mm512_store_si512(pair[1], _mm512_setzero_si512());
    for (auto& pair : scale) _mm512_store_ps(pair[1], _mm512_setzero_ps());
    for (auto& pair : min) _mm512_store_ps(pair[1], _mm512_setzero_ps());
  }

  // Weights and scales of groups g to g_end.
  inline void Unpack(size_t g, size_t g_end) {
    const size_t count = (g_end - g) * a.x.group;
    for (int p = 0; p < panels; ++p) {
      const uint8_t* from = Weights::At(a, panel + p, g * a.x.group);
      for (size_t k = 0; k < count; k += 8, from += Weights::kBytesOf8) {
        __m512i u[2];
        Weights::Load8(from, u);
        _mm512_store_si512(w[k / 4][p], u[0]);
        _mm512_store_si512(w[k / 4 + 1][p], u[1]);
      }
      for (size_t i = g; i < g_end; ++i) {
        __m512 ws;
        __m512 wm;
        Weights::Scales(Weights::ScalesAt(a, panel + p, i), &ws, &wm);
        _mm512_store_ps(scale[i - g][p], ws);
        if constexpr (Weights::kMins) _mm512_store_ps(min[i - g][p], wm);
      }
    }
  }

  // Announces a group's weights in the next block, `groups_ahead` from here.
  inline void PrefetchNext(size_t g, size_t groups_ahead) const {
    const size_t bytes = a.x.group * Weights::kBytesOf8 / 8;
    for (int p = 0; p < panels; ++p) {
      const uint8_t* ahead = Weights::At(a, panel + p, g * a.x.group) + groups_ahead * bytes;
      for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(ahead + i, _MM_HINT_T1);
    }
  }

  // Adds groups g_begin to g_end of Rows rows: whole tiles of QuantizedRows, or fewer than one.
  template <int Rows>
  inline void AddRows(size_t row, size_t g_begin, size_t g_end) {
    constexpr int kTiles = (Rows + 3) / 4;
    constexpr size_t t = Rows < 4 ? Rows : 4;
    const QuantizedRows x = a.x;       // a copy: stores do not change it
    const size_t bytes = x.group * t;  // of q in a group
    const size_t place = row * x.digits * groups;
    const size_t tile = x.digits * groups * 4;  // from one tile's place to the next
    const int8_t* q = x.q + row * x.digits * x.kp;
    const size_t q_tile = x.digits * x.kp * 4;
    const bool announce = row == row_begin && g_end + (g_end - g_begin) <= groups;
    const uint8_t* u = w[0][0];
    for (size_t g = g_begin; g < g_end; ++g, u += x.group * 16 * kPanels) {
#pragma nounroll
      for (size_t d = 0; d < Digits; ++d) {
        const size_t index = place + (d * groups + g) * t;
        const int8_t* qk[kTiles];
        __m512i sum[Rows][kPanels];
#pragma unroll
        for (int i = 0; i < kTiles; ++i) qk[i] = q + i * q_tile + (d * x.kp + g * x.group) * t;
#pragma unroll
        for (int i = 0; i < Rows; ++i) {
          sum[i][0] = Weights::Start(x, index + i / 4 * tile + i % 4);
          sum[i][1] = sum[i][0];
        }
        const uint8_t* uk = u;
        if (announce && d == 0) PrefetchNext(g, g_end - g_begin);
#pragma clang loop unroll_count(2)
        for (size_t k = 0; k < bytes; k += 4 * t, uk += kPanels * 64) {
          const __m512i u0 = _mm512_load_si512(uk);
          const __m512i u1 = _mm512_load_si512(uk + 64);
#pragma unroll
          for (int i = 0; i < Rows; ++i) {
            const __m512i four = Broadcast4(qk[i / 4] + k + i % 4 * 4);
            sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], u0, four);
            sum[i][1] = _mm512_dpbusd_epi32(sum[i][1], u1, four);
          }
        }
        float* out = acc[row - row_begin][0];
        const float* w_scale = scale[g - g_begin][0];
        const float* w_min = min[Weights::kMins ? g - g_begin : 0][0];
#pragma unroll
        for (int i = 0; i < kTiles; ++i) {
          const float* x_scale = x.scale + index + i * tile;
          const float* x_sum = x.sum + index + i * tile;
#pragma unroll
          for (int r = i * 4; r < i * 4 + (Rows < 4 ? Rows : 4); ++r) {
            const __m512 xs = _mm512_set1_ps(x_scale[r % 4]);
#pragma unroll
            for (int p = 0; p < kPanels; ++p) {
              float* at = out + (r * kPanels + p) * 16;
              const __m512 both = _mm512_mul_ps(_mm512_load_ps(w_scale + p * 16), xs);
              __m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][p]), both, _mm512_load_ps(at));
              if constexpr (Weights::kMins) {
                v = _mm512_fmadd_ps(_mm512_load_ps(w_min + p * 16), _mm512_set1_ps(x_sum[r % 4]),
                                    v);
              }
              _mm512_store_ps(at, v);
            }
          }
        }
      }
    }
  }

  inline void AddTail(size_t row, size_t g, size_t g_end) {
    switch (row_end - row) {
      case 1:
        return AddRows<1>(row, g, g_end);
      case 2:
        return AddRows<2>(row, g, g_end);
      case 3:
        return AddRows<3>(row, g, g_end);
      default:
        return;
    }
  }

  inline void Run() {
    for (size_t i = 0; i < row_end - row_begin; ++i) {
      _mm512_store_ps(acc[i][0], _mm512_setzero_ps());
      _mm512_store_ps(acc[i][1], _mm512_setzero_ps());
    }
    const size_t step = kManyBlockK / a.x.group;
    for (size_t g = 0; g < groups; g += step) {
      const size_t g_end = groups - g < step ? groups : g + step;
      Unpack(g, g_end);
      size_t row = row_begin;
      for (; row + kTileRows <= row_end; row += kTileRows) AddRows<kTileRows>(row, g, g_end);
      for (; row + kRowTile <= row_end; row += kRowTile) AddRows<kRowTile>(row, g, g_end);
      AddTail(row, g, g_end);
    }
    for (size_t row = row_begin; row < row_end; ++row) {
      for (int p = 0; p < panels; ++p) {
        WriteOut(a, row, panel + p, _mm512_load_ps(acc[row - row_begin][p]));
      }
    }
  }
};

template <class Weights, int Digits>
void Linear(const typename Weights::Args& a) {
  const QuantizedRows& x = a.x;
  if (x.rows < kManyRows || x.group > kManyBlockK) return StreamLinear<Weights, Digits>(a);
  for (size_t panel = a.panel_begin; panel < a.panel_end; panel += kPanels) {
    const int panels = a.panel_end - panel < kPanels ? 1 : kPanels;
    for (size_t row = 0; row < x.rows; row += kWaitingRows) {
      const size_t end = x.rows - row < kWaitingRows ? x.rows : row + kWaitingRows;
      Strip<Weights, Digits>(a, panel, panels, row, end).Run();
    }
  }
}

void Int8Linear(const Int8LinearArgs& a) {
  a.digits == 1 ? Linear<Int8Weights, 1>(a) : Linear<Int8Weights, 2>(a);
}

void Int4Linear(const Int4LinearArgs& a) {
  a.digits == 1 ? Linear<Int4Weights, 1>(a) : Linear<Int4Weights, 2>(a);
}

}  // namespace

const GemmTier kGemmAvx512 = {Quantize, Int8Linear, Int4Linear, F32Linear, 0};

}  // namespace infeng
