#ifndef INFENG_CC_KERNELS_GEMM_BODY_H_
#define INFENG_CC_KERNELS_GEMM_BODY_H_

// What all tiers share, written once over 16 lanes. Include a tier's simd header before this one.

#include "cc/kernels/gemm/tier.h"

namespace infeng {
namespace {

constexpr float kMaxFinite = 0x1.fffffep+127f;

// The 16 elements of a row at `at`; zero beyond k.
inline V LoadPadded(const float* x, size_t k, size_t at) {
  return at < k ? Load(x + at) : Set1(0.0f);
}

// Where the rows from `row` on lie in QuantizedRows, to the end of their tile.
struct RowPlace {
  size_t
      tile_rows;    // from one four of k, or one group, to the next: 4 * tile_rows bytes, tile_rows
  const int8_t* q;  // of digit 0, k 0
  size_t at;        // index of scale, offset and sum of digit 0, group 0
};

inline RowPlace PlaceOf(const QuantizedRows& x, size_t row) {
  const size_t first = row / kRowTile * kRowTile;
  const size_t rows = x.rows - first < kRowTile ? x.rows - first : kRowTile;
  const size_t groups = x.kp / x.group;
  return {rows, x.q + first * x.digits * x.kp + (row - first) * 4,
          first * x.digits * groups + (row - first)};
}

inline void StoreTile(int8_t* q, size_t step, V values) {
  int8_t bytes[16];
  StoreI8(bytes, values);
  for (int i = 0; i < 4; ++i) __builtin_memcpy(q + i * step, bytes + i * 4, 4);
}

inline size_t WideTileK(const QuantizedRows& x) { return x.group % 64 == 0 ? 64 : 32; }

// Sixteen of a row's q at k, a multiple of 16.
inline void StoreDigits(const QuantizedRows& out, const RowPlace& place, size_t row, size_t digit,
                        size_t k, V values) {
  if (!out.wide) {
    const size_t t = place.tile_rows;
    StoreTile(out.q + (place.q - out.q) + (digit * out.kp + k) * t, 4 * t, values);
    return;
  }
  // A shift, because a division takes longer than the rest.
  const size_t shift = WideTileK(out) == 64 ? 6 : 5;
  const size_t first = (row / kWideTile * out.digits + digit) * kWideTile * out.kp;
  const size_t line = (k >> shift) * kWideTile + row % kWideTile;
  StoreI8(out.q + first + (line << shift) + (k & ((size_t{1} << shift) - 1)), values);
}

inline void QuantizeGroup(const QuantizeArgs& a, size_t row, size_t g) {
  const QuantizedRows& out = a.out;
  const float* x = a.x + row * a.x_stride;
  const size_t groups = out.kp / out.group;
  const size_t at = g * out.group;
  V amax_lanes = Set1(0.0f);
  for (size_t i = 0; i < out.group; i += 16) {
    amax_lanes = MaxBits(amax_lanes, Abs(LoadPadded(x, a.k, at + i)));
  }
  const float amax = ReduceMaxBits(amax_lanes);
  const bool finite = amax <= kMaxFinite;
  const float inverse = 127.0f / amax;
  const bool nonzero = finite && inverse <= kMaxFinite;
  const float scale = nonzero ? amax / 127.0f : (finite ? 0.0f : __builtin_nanf(""));
  const V factor = Set1(inverse);
  const RowPlace place = PlaceOf(out, row);
  size_t index = place.at + g * place.tile_rows;
  const float scale2 = scale / 254.0f;
  const float inverse2 = 1.0f / scale2;
  const bool nonzero2 = nonzero && inverse2 <= kMaxFinite;
  // The sums are of small integers, so exact in any order.
  V sum = Set1(0.0f);
  V sum2 = Set1(0.0f);
  for (size_t i = 0; i < out.group; i += 16) {
    const V value = nonzero ? LoadPadded(x, a.k, at + i) : Set1(0.0f);
    const V digit = nonzero ? Round(Mul(value, factor)) : Set1(0.0f);
    StoreDigits(out, place, row, 0, at + i, digit);
    sum = Add(sum, digit);
    if (out.digits == 1) continue;
    V r = Set1(0.0f);
    if (nonzero2) {
      r = Mul(Fma(Set1(-scale), digit, value), Set1(inverse2));
      r = Round(Min(Set1(127.0f), Max(Set1(-127.0f), r)));
    }
    StoreDigits(out, place, row, 1, at + i, r);
    sum2 = Add(sum2, r);
  }
  const auto store = [&](float digit_scale, float digit_sum) {
    out.scale[index] = digit_scale;
    out.offset[index] = -128 * static_cast<int32_t>(digit_sum);
    out.sum[index] = digit_scale * digit_sum;
    index += groups * place.tile_rows;
  };
  store(scale, Sum(sum));
  if (out.digits == 2) store(nonzero2 ? scale2 : 0.0f, Sum(sum2));
}

// At most sixteen groups of a row, in each step side by side; the same as QuantizeGroup of each.
inline void QuantizeGroups(const QuantizeArgs& a, size_t row, size_t g, size_t count) {
  const QuantizedRows& out = a.out;
  const float* x = a.x + row * a.x_stride;
  const size_t groups = out.kp / out.group;
  V lanes[16];
  for (size_t j = 0; j < 16; ++j) lanes[j] = Set1(0.0f);
  for (size_t j = 0; j < count; ++j) {
    for (size_t i = 0; i < out.group; i += 16) {
      lanes[j] = MaxBits(lanes[j], Abs(LoadPadded(x, a.k, (g + j) * out.group + i)));
    }
  }
  const V amax_of = MaxBits16(lanes);
  const V scale_of = Div(amax_of, Set1(127.0f));
  const V scale2_of = Div(scale_of, Set1(254.0f));
  float amax[16];
  float inverse[16];
  float inverse2[16];
  Store(amax, amax_of);
  Store(inverse, Div(Set1(127.0f), amax_of));
  Store(inverse2, Div(Set1(1.0f), scale2_of));
  // Zeros, denormals and what is not finite are rare.
  bool plain = true;
  for (size_t j = 0; j < count; ++j) {
    plain &= amax[j] <= kMaxFinite && inverse[j] <= kMaxFinite && inverse2[j] <= kMaxFinite;
  }
  if (!plain) {
    for (size_t j = 0; j < count; ++j) QuantizeGroup(a, row, g + j);
    return;
  }
  float scale[16];
  Store(scale, scale_of);
  const RowPlace place = PlaceOf(out, row);
  V sums[16];
  V sums2[16];
  for (size_t j = 0; j < 16; ++j) sums[j] = sums2[j] = Set1(0.0f);
  for (size_t j = 0; j < count; ++j) {
    const size_t at = (g + j) * out.group;
    const V factor = Set1(inverse[j]);
    for (size_t i = 0; i < out.group; i += 16) {
      const V value = LoadPadded(x, a.k, at + i);
      const V digit = Round(Mul(value, factor));
      StoreDigits(out, place, row, 0, at + i, digit);
      sums[j] = Add(sums[j], digit);
      if (out.digits == 1) continue;
      const V rest = Mul(Fma(Set1(-scale[j]), digit, value), Set1(inverse2[j]));
      const V digit2 = Round(Min(Set1(127.0f), Max(Set1(-127.0f), rest)));
      StoreDigits(out, place, row, 1, at + i, digit2);
      sums2[j] = Add(sums2[j], digit2);
    }
  }
  const auto store = [&](size_t digit, V digit_scale, V digit_sum) {
    float scales[16];
    float whole[16];
    float products[16];
    Store(scales, digit_scale);
    Store(whole, digit_sum);
    Store(products, Mul(digit_scale, digit_sum));
    size_t index = place.at + (digit * groups + g) * place.tile_rows;
    for (size_t j = 0; j < count; ++j, index += place.tile_rows) {
      out.scale[index] = scales[j];
      out.offset[index] = -128 * static_cast<int32_t>(whole[j]);
      out.sum[index] = products[j];
    }
  };
  store(0, scale_of, Sum16(sums));
  if (out.digits == 2) store(1, scale2_of, Sum16(sums2));
}

template <class Args>
inline size_t OutputsOfPanel(const Args& a, size_t panel) {
  const size_t left = a.n - panel * 16;
  return left < 16 ? left : 16;
}

// Rows whose sums wait while k goes on, and the bytes of one row's k (int8) that make a block: the
// weights of a block of k stay in the first-level cache for all those rows.
constexpr size_t kChunkRows = 64;
constexpr size_t kBlockK = 512;

// At most Rows rows at once, then half as many, down to one.
template <int Rows, class Tile, class Args>
inline void TileRows(const Args& a, size_t panel, size_t row, size_t row_end, size_t g,
                     size_t g_end, float* acc) {
  static_assert(kChunkRows % Rows == 0);
  for (; row + Rows <= row_end; row += Rows, acc += Rows * 16) {
    Tile::template Run<Rows>(a, panel, row, g, g_end, acc);
  }
  if constexpr (Rows > 1) {
    if (row < row_end) TileRows<Rows / 2, Tile>(a, panel, row, row_end, g, g_end, acc);
  }
}

// A linear layer out of tiles: Tile::Run<Rows> adds groups g to g_end of Rows rows to acc
// [Rows][16], which begins at +0.
template <class Tile, class Args>
inline void LinearPanels(const Args& a) {
  alignas(64) float acc[kChunkRows * 16];
  const size_t groups = a.x.kp / a.x.group;
  const size_t step = a.x.group < kBlockK ? kBlockK / a.x.group : 1;
  for (size_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    const size_t count = OutputsOfPanel(a, panel);
    for (size_t row = 0; row < a.x.rows; row += kChunkRows) {
      const size_t end = a.x.rows - row < kChunkRows ? a.x.rows : row + kChunkRows;
      for (size_t i = 0; i < end - row; ++i) Store(acc + i * 16, Set1(0.0f));
      for (size_t g = 0; g < groups; g += step) {
        const size_t g_end = groups - g < step ? groups : g + step;
        TileRows<Tile::kRows, Tile>(a, panel, row, end, g, g_end, acc);
      }
      for (size_t i = row; i < end; ++i) {
        float* y = a.y + i * a.y_stride + panel * 16;
        V sum = Load(acc + (i - row) * 16);
        if (a.accumulate) sum = Add(LoadN(y, count), sum);
        StoreN(y, sum, count);
      }
    }
  }
}

void Quantize(const QuantizeArgs& a) {
  const size_t groups = a.out.kp / a.out.group;
  for (size_t row = a.row_begin; row < a.row_end; ++row) {
    for (size_t g = 0; g < groups; g += 16) {
      QuantizeGroups(a, row, g, groups - g < 16 ? groups - g : 16);
    }
  }
}

// A tile of `Rows` rows by `Outputs` outputs.
template <int Rows, int Outputs>
inline void F32Tile(const F32LinearArgs& a, size_t row, size_t n) {
  V acc[Rows][Outputs];
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Outputs; ++j) acc[i][j] = Set1(0.0f);
  }
  const float* x = a.x + row * a.x_stride;
  const float* w = a.w + n * a.kp;
  for (size_t k = 0; k < a.kp; k += 16) {
    V xs[Rows];
    for (int i = 0; i < Rows; ++i) xs[i] = Load(x + i * a.x_stride + k);
    for (int j = 0; j < Outputs; ++j) {
      const V ws = Load(w + j * a.kp + k);
      for (int i = 0; i < Rows; ++i) acc[i][j] = Fma(xs[i], ws, acc[i][j]);
    }
  }
  for (int i = 0; i < Rows; ++i) {
    float* y = a.y + (row + i) * a.y_stride + n;
    for (int j = 0; j < Outputs; ++j) {
      const float sum = Sum(acc[i][j]);
      y[j] = a.accumulate ? y[j] + sum : sum;
    }
  }
}

template <int Outputs>
inline void F32Outputs(const F32LinearArgs& a, size_t n) {
  size_t row = 0;
  for (; row + kF32TileRows <= a.rows; row += kF32TileRows) {
    F32Tile<kF32TileRows, Outputs>(a, row, n);
  }
  for (; row < a.rows; ++row) F32Tile<1, Outputs>(a, row, n);
}

void F32Linear(const F32LinearArgs& a) {
  size_t n = a.n_begin;
  for (; n + kF32TileOutputs <= a.n_end; n += kF32TileOutputs) F32Outputs<kF32TileOutputs>(a, n);
  for (; n < a.n_end; ++n) F32Outputs<1>(a, n);
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_GEMM_BODY_H_
