#ifndef INFENG_CC_KERNELS_LORA_BODY_H_
#define INFENG_CC_KERNELS_LORA_BODY_H_

// What all tiers share, written once over 16 lanes. Include a tier's simd header before this one.

#include "cc/kernels/lora/tier.h"

namespace infeng {
namespace {

// Rows rows by Blocks times eight of rank.
template <int Rows, int Blocks>
inline void ShrinkTile(const LoraShrinkArgs& a, size_t first, size_t block) {
  const float* x[Rows];
  for (int i = 0; i < Rows; ++i) x[i] = a.x + a.rows[first + i] * a.x_stride;
  const uint16_t* w = a.a + block * a.kp * 8;
  V acc[Rows][Blocks];
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Blocks; ++j) acc[i][j] = Set1(0.0f);
  }
  for (size_t k = 0; k < a.kp; k += 2, w += 16) {
    V ws[Blocks];
    for (int j = 0; j < Blocks; ++j) ws[j] = LoadF16(w + j * a.kp * 8);
    for (int i = 0; i < Rows; ++i) {
      const V xs = SetPair(x[i] + k);
      for (int j = 0; j < Blocks; ++j) acc[i][j] = Fma(xs, ws[j], acc[i][j]);
    }
  }
  for (int i = 0; i < Rows; ++i) {
    float* low = a.low + a.rows[first + i] * a.low_stride + block * 8;
    for (int j = 0; j < Blocks; ++j) {
      float lanes[16];
      Store(lanes, acc[i][j]);
      for (int r = 0; r < 8; ++r) low[j * 8 + r] = a.scale * (lanes[2 * r] + lanes[2 * r + 1]);
    }
  }
}

template <int Rows>
inline void ShrinkRows(const LoraShrinkArgs& a, size_t first) {
  const size_t blocks = (a.rank + 7) / 8;
  size_t block = 0;
  for (; block + 2 <= blocks; block += 2) ShrinkTile<Rows, 2>(a, first, block);
  if (block < blocks) ShrinkTile<Rows, 1>(a, first, block);
}

// Rows rows at once, then half as many, down to one.
template <int Rows>
inline void ShrinkFrom(const LoraShrinkArgs& a, size_t row) {
  for (; row + Rows <= a.row_count; row += Rows) ShrinkRows<Rows>(a, row);
  if constexpr (Rows > 1) {
    if (row < a.row_count) ShrinkFrom<Rows / 2>(a, row);
  }
}

void Shrink(const LoraShrinkArgs& a) { ShrinkFrom<kLoraRows>(a, 0); }

template <int Rows>
inline void ExpandTile(const LoraExpandArgs& a, size_t first, size_t panel) {
  const uint16_t* w = a.b + panel * a.rank * 16;
  const float* low[Rows];
  V acc[Rows];
  for (int i = 0; i < Rows; ++i) {
    low[i] = a.low + a.rows[first + i] * a.low_stride;
    acc[i] = Set1(0.0f);
  }
  for (size_t r = 0; r < a.rank; ++r, w += 16) {
    const V ws = LoadF16(w);
    for (int i = 0; i < Rows; ++i) acc[i] = Fma(Set1(low[i][r]), ws, acc[i]);
  }
  const size_t left = a.n - panel * 16;
  const size_t count = left < 16 ? left : 16;
  for (int i = 0; i < Rows; ++i) {
    float* y = a.y + a.rows[first + i] * a.y_stride + panel * 16;
    StoreN(y, Add(LoadN(y, count), acc[i]), count);
  }
}

template <int Rows>
inline void ExpandFrom(const LoraExpandArgs& a, size_t row, size_t panel) {
  for (; row + Rows <= a.row_count; row += Rows) ExpandTile<Rows>(a, row, panel);
  if constexpr (Rows > 1) {
    if (row < a.row_count) ExpandFrom<Rows / 2>(a, row, panel);
  }
}

void Expand(const LoraExpandArgs& a) {
  for (size_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    ExpandFrom<2 * kLoraRows>(a, 0, panel);
  }
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_LORA_BODY_H_
