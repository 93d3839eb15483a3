#include "cc/kernels/simd/amx.h"

#include "cc/kernels/gemm/body.h"
#include "cc/kernels/simd/avx512.h"

namespace infeng {
namespace {

// Products of bytes in tiles: 16 rows by 16 outputs at once, exact in int32. Groups of k end in
// f32, which is the work of the vector unit; so one bundle of groups is multiplied while the sums
// of the bundle before it are scaled.

constexpr size_t kBlockRows = 2 * kWideTile;
// Rows whose sums in f32 wait while k goes on.
constexpr size_t kWaitingRows = 64;
// Bytes of activations that stay in the L2 while weights pass by.
constexpr size_t kL2Bytes = size_t{1} << 20;
// Sums of one tile, and of the (at most) four that a block of rows and two panels has.
constexpr size_t kTileInts = kWideTile * 16;
constexpr size_t kBlockInts = 4 * kTileInts;
// Sums of so many groups (or of their digits) are one bundle.
constexpr size_t kBundle = 2;
// Bundles are scaled eight rows at a time, which are a step.
constexpr size_t kSteps = 4;
constexpr size_t kScaledRows = kBlockRows / kSteps;
// As kBlockK, so that weights, activations and sums together stay in the first-level cache.
constexpr size_t kWideBlockK = 256;

// What LDTILECFG reads.
struct TileConfig {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

// Tile 2 r + p has the sums of row tile r and panel p, 4 + r the activations, 6 + p the weights.
void Configure(size_t tile_k) {
  TileConfig config = {};
  config.palette = 1;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = 16;
  }
  for (int i = 0; i < 2; ++i) {
    config.row_bytes[4 + i] = static_cast<uint16_t>(tile_k);
    config.rows[6 + i] = static_cast<uint8_t>(tile_k / 4);
  }
  _tile_loadconfig(&config);
}

// One group (and digit): sums [row tile][2 panels][16 rows][16] from +0.
template <int RowTiles, int Panels>
inline void MultiplyGroup(const int8_t* a, size_t a_step, const int8_t* b, size_t b_step,
                          size_t group, size_t tile_k, int32_t* sums) {
  _tile_zero(0);
  if constexpr (Panels == 2) _tile_zero(1);
  if constexpr (RowTiles == 2) _tile_zero(2);
  if constexpr (RowTiles == 2 && Panels == 2) _tile_zero(3);
  for (size_t k = 0; k < group; k += tile_k, a += 16 * tile_k, b += 16 * tile_k) {
    _tile_loadd(4, a, tile_k);
    _tile_loadd(6, b, 64);
    _tile_dpbssd(0, 4, 6);
    if constexpr (Panels == 2) {
      _tile_loadd(7, b + b_step, 64);
      _tile_dpbssd(1, 4, 7);
    }
    if constexpr (RowTiles == 2) {
      _tile_loadd(5, a + a_step, tile_k);
      _tile_dpbssd(2, 5, 6);
      if constexpr (Panels == 2) _tile_dpbssd(3, 5, 7);
    }
  }
  _tile_stored(0, sums, 64);
  if constexpr (Panels == 2) _tile_stored(1, sums + kTileInts, 64);
  if constexpr (RowTiles == 2) _tile_stored(2, sums + 2 * kTileInts, 64);
  if constexpr (RowTiles == 2 && Panels == 2) _tile_stored(3, sums + 3 * kTileInts, 64);
}

// int8 weights, multiplied where they lie.
struct Int8Weights {
  using Args = Int8LinearArgs;
  static constexpr bool kUnpacked = false;

  static inline void Scales(const Args& a, size_t panel, size_t g, __m512* scale, __m512* /*min*/) {
    const size_t groups = a.x.kp / a.x.group;
    const auto* at = reinterpret_cast<const __m256i*>(a.scale + (panel * groups + g) * 16);
    *scale =
        _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at)), 16));
  }
  // The weights of a panel from k on, and how far the next panel's are from them.
  static inline const int8_t* Block(const Args& a, size_t panel, int /*panels*/, size_t k,
                                    size_t /*count*/, int8_t* /*buffer*/, size_t* step) {
    *step = 16 * a.x.kp;
    return a.w + panel * 16 * a.x.kp + k * 16;
  }
};

// int4 weights, unpacked a block of k at a time: all rows that wait share it.
struct Int4Weights {
  using Args = Int4LinearArgs;
  static constexpr bool kUnpacked = true;

  static inline void Scales(const Args& a, size_t panel, size_t g, __m512* scale, __m512* min) {
    const uint16_t* at = a.scale + (panel * (a.x.kp / a.x.group) + g) * 32;
    *scale = LoadF16(at).v;
    *min = LoadF16(at + 16).v;
  }
  static inline const int8_t* Block(const Args& a, size_t panel, int panels, size_t k, size_t count,
                                    int8_t* buffer, size_t* step) {
    const __m512i low = _mm512_set1_epi8(15);
    *step = 16 * kWideBlockK;
    for (int p = 0; p < panels; ++p) {
      const uint8_t* w = a.w + (panel + p) * 8 * a.x.kp + k * 8;
      int8_t* out = buffer + p * *step;
      for (size_t i = 0; i < count * 8; i += 64, out += 128) {
        const __m512i both = _mm512_loadu_si512(w + i);
        _mm512_store_si512(out, _mm512_and_si512(both, low));
        _mm512_store_si512(out + 64, _mm512_and_si512(_mm512_srli_epi16(both, 4), low));
      }
    }
    return buffer;
  }
};

// Consecutive groups and digits (index digits * g + d) of a block of rows.
struct Bundle {
  size_t row;  // of the block
  size_t first, end;
};

// The outputs of `Panels` panels for the rows that wait.
template <class Weights, int Panels, int Digits>
struct Strip {
  Strip(const typename Weights::Args& a, size_t panel, size_t row_begin, size_t row_end,
        size_t tile_k)
      : a(a), panel(panel), row_begin(row_begin), row_end(row_end), tile_k(tile_k) {}

  const typename Weights::Args& a;
  size_t panel;
  size_t row_begin, row_end;
  size_t tile_k;
  const int8_t* b = nullptr;  // of the block of k
  size_t b_step = 0;
  size_t k = 0;  // where it begins
  alignas(64) float acc[kWaitingRows * Panels * 16];
  alignas(64) int32_t sums[2][kBundle * kBlockInts];
  alignas(64) int8_t unpacked[Weights::kUnpacked ? Panels * 16 * kBlockK : 64];

  inline void Multiply(const Bundle& bundle, size_t step, int32_t* out) {
    const QuantizedRows& x = a.x;
    const size_t at = bundle.first + step;
    if (at >= bundle.end) return;
    const size_t g = at / Digits;
    const size_t tile_bytes = kWideTile * x.kp;  // of one digit
    const int8_t* q = x.q + (bundle.row / kWideTile * x.digits + at % Digits) * tile_bytes +
                      g * x.group * kWideTile;
    const int8_t* w = b + (g * x.group - k) * 16;
    out += step * kBlockInts;
    if (row_end - bundle.row > kWideTile) {
      MultiplyGroup<2, Panels>(q, x.digits * tile_bytes, w, b_step, x.group, tile_k, out);
    } else {
      MultiplyGroup<1, Panels>(q, 0, w, b_step, x.group, tile_k, out);
    }
  }

  // Rows rows that begin at a multiple of Rows.
  template <int Rows>
  inline void ScaleRows(const Bundle& bundle, size_t row, const int32_t* in) {
    constexpr int kPlaces = Rows > static_cast<int>(kRowTile) ? 2 : 1;
    const QuantizedRows& x = a.x;
    const size_t groups = x.kp / x.group;
    size_t place[kPlaces];
    for (int i = 0; i < kPlaces; ++i) place[i] = PlaceOf(x, row + i * kRowTile).at;
    const size_t t = PlaceOf(x, row).tile_rows;
    float* out = acc + (row - row_begin) * Panels * 16;
    const size_t in_block = row - bundle.row;
    in += in_block / kWideTile * 2 * kTileInts + in_block % kWideTile * 16;
    __m512 sum[Rows][Panels];
    for (int i = 0; i < Rows; ++i) {
      for (int p = 0; p < Panels; ++p) sum[i][p] = _mm512_load_ps(out + (i * Panels + p) * 16);
    }
    for (size_t s = bundle.first; s < bundle.end; ++s, in += kBlockInts) {
      const size_t g = s / Digits;
      const size_t at = (s % Digits * groups + g) * t;
      __m512 scale[Panels];
      __m512 min[Panels];
      for (int p = 0; p < Panels; ++p) Weights::Scales(a, panel + p, g, &scale[p], &min[p]);
      for (int i = 0; i < Rows; ++i) {
        const size_t index = place[i / kRowTile] + at + i % kRowTile;
        const __m512 xs = _mm512_set1_ps(x.scale[index]);
        for (int p = 0; p < Panels; ++p) {
          const __m512 v = _mm512_cvtepi32_ps(_mm512_load_si512(in + p * kTileInts + i * 16));
          sum[i][p] = _mm512_fmadd_ps(v, _mm512_mul_ps(scale[p], xs), sum[i][p]);
          if constexpr (Weights::kUnpacked) {
            sum[i][p] = _mm512_fmadd_ps(min[p], _mm512_set1_ps(x.sum[index]), sum[i][p]);
          }
        }
      }
    }
    for (int i = 0; i < Rows; ++i) {
      for (int p = 0; p < Panels; ++p) _mm512_store_ps(out + (i * Panels + p) * 16, sum[i][p]);
    }
  }

  // At most Rows rows at once, then half as many, down to one.
  template <int Rows>
  inline void Scale(const Bundle& bundle, size_t row, size_t end, const int32_t* in) {
    for (; row + Rows <= end; row += Rows) ScaleRows<Rows>(bundle, row, in);
    if constexpr (Rows > 1) {
      if (row < end) Scale<Rows / 2>(bundle, row, end, in);
    }
  }

  inline void ScaleStep(const Bundle& bundle, size_t step, const int32_t* in) {
    const size_t row = bundle.row + step * kScaledRows;
    const size_t end = row + kScaledRows < row_end ? row + kScaledRows : row_end;
    if (row < end) Scale<kScaledRows>(bundle, row, end, in);
  }

  // Adds groups g to g_end of all rows to acc.
  inline void Block(size_t g, size_t g_end) {
    const auto bundle_at = [&](size_t row, size_t first) {
      const size_t end = first + kBundle < g_end * Digits ? first + kBundle : g_end * Digits;
      return Bundle{row, first, end};
    };
    k = g * a.x.group;
    b = Weights::Block(a, panel, Panels, k, g_end * a.x.group - k, unpacked, &b_step);
    Bundle now = bundle_at(row_begin, g * Digits);
    int half = 0;
    for (size_t i = 0; i < kBundle; ++i) Multiply(now, i, sums[0]);
    while (true) {
      Bundle next = bundle_at(now.row, now.end);
      if (next.first == next.end) next = bundle_at(now.row + kBlockRows, g * Digits);
      const bool last = next.row >= row_end;
      for (size_t i = 0; i < kSteps; ++i) {
        constexpr size_t kEach = kSteps / kBundle;
        if (!last && i % kEach == 0) Multiply(next, i / kEach, sums[1 - half]);
        ScaleStep(now, i, sums[half]);
      }
      if (last) return;
      now = next;
      half = 1 - half;
    }
  }

  inline void Run() {
    const size_t groups = a.x.kp / a.x.group;
    const size_t step = a.x.group < kWideBlockK ? kWideBlockK / a.x.group : 1;
    for (size_t i = 0; i < (row_end - row_begin) * Panels; ++i) {
      _mm512_store_ps(acc + i * 16, _mm512_setzero_ps());
    }
    for (size_t g = 0; g < groups; g += step) {
      Block(g, groups - g < step ? groups : g + step);
    }
    for (size_t row = row_begin; row < row_end; ++row) {
      for (int p = 0; p < Panels; ++p) {
        const size_t count = OutputsOfPanel(a, panel + p);
        float* y = a.y + row * a.y_stride + (panel + p) * 16;
        V sum = Load(acc + ((row - row_begin) * Panels + p) * 16);
        if (a.accumulate) sum = Add(LoadN(y, count), sum);
        StoreN(y, sum, count);
      }
    }
  }
};

template <class Weights, int Digits>
void WideLinear(const typename Weights::Args& a) {
  const QuantizedRows& x = a.x;
  const size_t tile_k = WideTileK(x);
  const size_t fit = kL2Bytes / (x.kp * x.digits) / kWaitingRows * kWaitingRows;
  const size_t chunk = fit < kWaitingRows ? kWaitingRows : fit;
  Configure(tile_k);
  for (size_t begin = 0; begin < x.rows; begin += chunk) {
    const size_t end = x.rows - begin < chunk ? x.rows : begin + chunk;
    for (size_t panel = a.panel_begin; panel < a.panel_end; panel += 2) {
      for (size_t row = begin; row < end; row += kWaitingRows) {
        const size_t row_end = end - row < kWaitingRows ? end : row + kWaitingRows;
        if (a.panel_end - panel >= 2) {
          Strip<Weights, 2, Digits>(a, panel, row, row_end, tile_k).Run();
        } else {
          Strip<Weights, 1, Digits>(a, panel, row, row_end, tile_k).Run();
        }
      }
    }
  }
  // Else the kernel saves 8 KiB whenever it switches from this thread.
  _tile_release();
}

void Int8Linear(const Int8LinearArgs& a) {
  if (!a.x.wide) return kGemmAvx512.int8_linear(a);
  a.digits == 1 ? WideLinear<Int8Weights, 1>(a) : WideLinear<Int8Weights, 2>(a);
}

void Int4Linear(const Int4LinearArgs& a) {
  if (!a.x.wide) return kGemmAvx512.int4_linear(a);
  a.digits == 1 ? WideLinear<Int4Weights, 1>(a) : WideLinear<Int4Weights, 2>(a);
}

}  // namespace

const GemmTier kGemmAmx = {Quantize, Int8Linear, Int4Linear, F32Linear, 16};

}  // namespace infeng
