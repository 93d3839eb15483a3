#ifndef INFENG_CC_KERNELS_ATTENTION_BODY_H_
#define INFENG_CC_KERNELS_ATTENTION_BODY_H_

// Written once over 16 lanes. Include a tier's lanes header before this one.

#include "cc/kernels/attention/panels.h"
#include "cc/kernels/attention/weights.h"
#include "cc/kernels/attention/work.h"

namespace infeng {
namespace {

// Announces the scales and the ends of the lists of outliers of a block.
inline void PrefetchScales(const KvBlock& b, const char* block) {
  for (size_t at = b.key_scales; at < b.key_outliers; at += 64) {
    __builtin_prefetch(block + at, 0, 2);
  }
  constexpr size_t kLastEnd = (kPagePositions - 1) * 2;
  __builtin_prefetch(block + b.key_outliers + kLastEnd, 0, 2);
  __builtin_prefetch(block + b.value_outliers + kLastEnd, 0, 2);
}

// Products of R queries from `query` on with the keys of the panels begin..end of a chunk.
template <class K, int R>
void KeyProducts(Work& w, size_t chunk, size_t query, size_t begin, size_t end) {
  constexpr int kTile = PanelTile<R>();
  const AttendArgs& a = *w.args;
  const char* q = w.q[query];
  const size_t steps = a.block.padded_dim / (K::kInteger ? 2 : 1);
  size_t panel = begin;
  const auto run = [&](auto width) __attribute__((always_inline)) {
    constexpr int P = width.value;
    const char* panels[P];
    typename K::Sum sum[R][P];
#pragma unroll
    for (int p = 0; p < P; ++p) {
      const size_t position = chunk + (panel + p) * 16;
      panels[p] = w.Block(position) + a.block.keys +
                  position % kPagePositions / 16 * a.block.key_panel_bytes;
#pragma unroll
      for (int r = 0; r < R; ++r) sum[r][p] = K::Zero();
    }
    // The first queries announce the page's values, as many as the keys that they read.
    const char* ahead = panels[0] + (query == 0 ? a.block.values - a.block.keys : 0);
    PanelSteps<K, R, P, kQueryStrideBytes>(q, panels, 0, steps, ahead, sum);
#pragma unroll
    for (int r = 0; r < R; ++r) {
#pragma unroll
      for (int p = 0; p < P; ++p) {
        Store(w.scores[query + r] + (panel + p) * 16, K::Float(sum[r][p]));
      }
    }
  };
  for (; panel + kTile <= end; panel += kTile) run(Constant<kTile>());
  if constexpr (kTile > 1) {
    for (; panel < end; ++panel) run(Constant<1>());
  }
}

// o of R queries from `query` on, over the chunk's positions in `range`, into out (stride
// padded_dim), or merged into it.
template <class K, int R>
void ValueProducts(const Work& w, size_t chunk, size_t query, Range range, bool outliers,
                   bool merge, float* out, size_t out_stride) {
  constexpr int kTile = PanelTile<R>();
  constexpr size_t kStep = K::kInteger ? 2 : 1;
  const AttendArgs& a = *w.args;
  const char* weights = reinterpret_cast<const char*>(w.scores[query]);
  const size_t count = a.block.padded_dim / 16;
  size_t panel = 0;
  const auto run = [&](auto width) __attribute__((always_inline)) {
    constexpr int P = width.value;
    typename K::Sum sum[R][P];
#pragma unroll
    for (int r = 0; r < R; ++r) {
#pragma unroll
      for (int p = 0; p < P; ++p) sum[r][p] = K::Zero();
    }
    for (size_t page = range.begin / kPagePositions * kPagePositions; page < range.end;
         page += kPagePositions) {
      const char* block = w.Block(chunk + page) + a.block.values;
      const char* panels[P];
#pragma unroll
      for (int p = 0; p < P; ++p) panels[p] = block + (panel + p) * a.block.value_panel_bytes;
      // The first queries announce the next chunk's keys, a share with each of the panels.
      const size_t next = chunk + kChunkPositions + page;
      const char* ahead = panels[0];
      if (query == 0 && next < a.position + a.rows) {
        ahead = w.Block(next) + a.block.keys + panel * a.block.value_panel_bytes;
        if (K::kInteger && panel == 0) PrefetchScales(a.block, w.Block(next));
      }
      // From a multiple of 16, where weights before the range are 0.
      const size_t begin = range.begin > page ? (range.begin - page) / 16 * 16 : 0;
      const size_t end = MinOf(range.end - page, kPagePositions);
      PanelSteps<K, R, P, kWeightStrideBytes>(weights + page / kStep * 4, panels, begin / kStep,
                                              (end + kStep - 1) / kStep, ahead, sum);
    }
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const size_t i = query + static_cast<size_t>(r);
#pragma unroll
      for (int p = 0; p < P; ++p) {
        const size_t d = (panel + static_cast<size_t>(p)) * 16;
        V o = K::Float(sum[r][p]);
        if constexpr (K::kInteger) {
          if (outliers) o = Add(o, Load(w.scores[i] + kOutlierSums + d));
          o = Fma(o, Set1(w.value_factor[i]), Set1(w.value_base[i]));
        } else {
          o = Add(o, Set1(0.0f));
        }
        float* to = out + static_cast<size_t>(r) * out_stride + d;
        if (merge) {
          if (!w.active[i]) continue;
          o = Fma(Load(to), Set1(w.old_factor[i]), Mul(o, Set1(w.new_factor[i])));
        }
        Store(to, o);
      }
    }
  };
  for (; panel + kTile <= count; panel += kTile) run(Constant<kTile>());
  if constexpr (kTile > 1) {
    for (; panel < count; ++panel) run(Constant<1>());
  }
}

// Calls body<R>(first query) for tiles of at most kQueryTile queries.
template <int R, class F>
inline void TailTile(size_t query, size_t left, F& body) {
  if constexpr (R > 0) {
    if (left == R) {
      body(Constant<R>(), query);
    } else {
      TailTile<R - 1>(query, left, body);
    }
  }
}

template <class F>
inline void ForEachTile(size_t queries, F body) {
  size_t query = 0;
  for (; query + kQueryTile <= queries; query += kQueryTile) body(Constant<kQueryTile>(), query);
  TailTile<kQueryTile - 1>(query, queries - query, body);
}

// The positions' scales in f32; those of keys times what makes scores of products. Beyond the
// range, within its panels, those of values are 0: what was never written must not matter.
template <class K>
inline void LoadScales(Work& w, size_t chunk, Range range) {
  const KvBlock& block = w.args->block;
  const float rotation = 1.0f / static_cast<float>(RotationBlock(block.padded_dim));
  const V to_score = Set1(w.args->scale * kLog2E * rotation);
  for (size_t j = range.begin / 16 * 16; j < range.end; j += 16) {
    const auto load = [&](size_t offset) {
      const char* scales = w.Block(chunk + j) + offset;
      return LoadF16(reinterpret_cast<const uint16_t*>(scales) + j % kPagePositions);
    };
    const Range written = {0, range.end};
    const V zero = Set1(0.0f);
    Store(w.key_scale + j, Mul(load(block.key_scales), to_score));
    Store(w.value_scale + j, InRange(load(block.value_scales), zero, j, written));
    if constexpr (K::kMins) {
      constexpr size_t kMins = kPagePositions * 2;
      Store(w.key_min + j, Mul(load(block.key_scales + kMins), to_score));
      Store(w.value_min + j, InRange(load(block.value_scales + kMins), zero, j, written));
    }
  }
}

// Adds to each product of the chunk what the key's outliers give.
inline void AddKeyOutliers(Work& w, size_t chunk, Range range) {
  const AttendArgs& a = *w.args;
  ForEachOutlier(w, a.block.key_outliers, chunk, range, [&](size_t j, const KvOutlier& e) {
    const auto value = static_cast<float>(e.value);
    for (size_t i = 0; i < w.queries; ++i) {
      w.scores[i][j] = __builtin_fmaf(LoadI16At(w.q[i] + e.dim * 2), value, w.scores[i][j]);
    }
  });
}

// Sums of the values' outliers, behind each query's weights. False if there are none.
inline bool SumValueOutliers(Work& w, size_t chunk, Range range) {
  const AttendArgs& a = *w.args;
  bool any = false;
  ForEachOutlier(w, a.block.value_outliers, chunk, range, [&](size_t j, const KvOutlier& e) {
    if (!any) {
      any = true;
      for (size_t i = 0; i < w.queries; ++i) {
        for (size_t d = 0; d < a.block.padded_dim; d += 16) {
          Store(w.scores[i] + kOutlierSums + d, Set1(0.0f));
        }
      }
    }
    const auto value = static_cast<float>(e.value);
    for (size_t i = 0; i < w.queries; ++i) {
      const char* weights = reinterpret_cast<const char*>(w.scores[i]);
      float* sum = w.scores[i] + kOutlierSums + e.dim;
      *sum = __builtin_fmaf(LoadI16At(weights + 2 * j), value, *sum);
    }
  });
  return any;
}

// One chunk: its (m, l) into w.max and w.sum, o into `out`; or all merged into the totals and
// `out`.
template <class K>
void Chunk(Work& w, size_t chunk, bool merge, float* out, size_t out_stride) {
  const AttendArgs& a = *w.args;
  const Range all = {Within(RowRange(a, 0), chunk).begin,
                     Within(RowRange(a, a.rows - 1), chunk).end};
  if constexpr (K::kInteger) LoadScales<K>(w, chunk, all);
  const size_t last = (all.end + 15) / 16;
  const size_t tile = a.tile_tokens / 16;
  for (size_t panel = all.begin / 16; panel < last; panel += tile) {
    const size_t end = MinOf(panel + tile, last);
    ForEachTile(w.queries, [&](auto tile_rows, size_t query) {
      KeyProducts<K, tile_rows.value>(w, chunk, query, panel, end);
    });
  }
  if (K::kInteger) AddKeyOutliers(w, chunk, all);
  Weights<K>(w, chunk, merge, all);
  const bool outliers = K::kInteger && SumValueOutliers(w, chunk, all);
  ForEachTile(w.queries, [&](auto tile_rows, size_t query) {
    ValueProducts<K, tile_rows.value>(w, chunk, query, all, outliers, merge,
                                      out + query * out_stride, out_stride);
  });
}

template <class K>
inline void Begin(Work& w, const AttendArgs& a) {
  w.args = &a;
  w.queries = a.rows * a.heads;
  const size_t bytes = a.block.padded_dim * (K::kInteger ? 2 : 4);
  for (size_t i = 0; i < w.queries; ++i) {
    __builtin_memcpy(w.q[i], static_cast<const char*>(a.q) + i * bytes, bytes);
    if constexpr (!K::kMins) continue;
    int32_t sum = 0;
    for (size_t d = 0; d < a.block.padded_dim; ++d) {
      int16_t value;
      __builtin_memcpy(&value, w.q[i] + 2 * d, 2);
      sum += value;
    }
    w.query_sum[i] = static_cast<float>(sum);
  }
}

inline size_t FirstChunk(const AttendArgs& a) {
  return RowRange(a, 0).begin / kChunkPositions * kChunkPositions;
}

inline void WriteOut(const AttendArgs& a, size_t query, const float* o, float sum) {
  const V factor = Set1(1.0f / sum);
  float* out = a.out + query / a.heads * a.out_stride + query % a.heads * a.block.head_dim;
  for (size_t d = 0; d < a.block.head_dim; d += 16) {
    StoreN(out + d, Mul(Load(o + d), factor), MinOf(a.block.head_dim - d, 16));
  }
}

template <class K>
void AttendAll(const AttendArgs& a) {
  Work w;
  Begin<K>(w, a);
  const size_t padded = a.block.padded_dim;
  float* out = w.out[0];
  for (size_t i = 0; i < w.queries; ++i) {
    w.total_max[i] = -kInfinity;
    w.total_sum[i] = 0.0f;
    for (size_t d = 0; d < padded; d += 16) Store(out + i * padded + d, Set1(0.0f));
  }
  const size_t end = a.position + a.rows;
  for (size_t chunk = FirstChunk(a); chunk < end; chunk += kChunkPositions) {
    Chunk<K>(w, chunk, true, out, padded);
  }
  for (size_t i = 0; i < w.queries; ++i) WriteOut(a, i, out + i * padded, w.total_sum[i]);
}

template <class K>
void AttendSome(const PartialArgs& p) {
  const AttendArgs& a = *p.attend;
  Work w;
  Begin<K>(w, a);
  const size_t stride = a.block.padded_dim + 16;
  for (size_t c = p.chunk_begin; c < p.chunk_end; ++c) {
    const size_t chunk = c * kChunkPositions;
    float* to = p.partials + (c - FirstChunk(a) / kChunkPositions) * p.stride;
    Chunk<K>(w, chunk, false, to + 16, stride);
    for (size_t i = 0; i < w.queries; ++i) {
      to[i * stride] = w.active[i] ? w.max[i] : -kInfinity;
      to[i * stride + 1] = w.active[i] ? w.sum[i] : -1.0f;
    }
  }
}

void MergePartials(const PartialArgs& p) {
  const AttendArgs& a = *p.attend;
  const size_t padded = a.block.padded_dim;
  const size_t stride = padded + 16;
  for (size_t i = 0; i < a.rows * a.heads; ++i) {
    float o[kMaxHeadDim];
    float total_max = -kInfinity;
    float total_sum = 0.0f;
    for (size_t d = 0; d < padded; d += 16) Store(o + d, Set1(0.0f));
    for (size_t c = 0; c < p.chunk_end - p.chunk_begin; ++c) {
      const float* from = p.partials + c * p.stride + i * stride;
      if (from[1] < 0.0f) continue;  // no positions of this row
      const float max = total_max > from[0] ? total_max : from[0];
      const float old_factor = Exp2(total_max - max);
      const float new_factor = Exp2(from[0] - max);
      total_sum = __builtin_fmaf(total_sum, old_factor, from[1] * new_factor);
      total_max = max;
      for (size_t d = 0; d < padded; d += 16) {
        const V added = Mul(Load(from + 16 + d), Set1(new_factor));
        Store(o + d, Fma(Load(o + d), Set1(old_factor), added));
      }
    }
    WriteOut(a, i, o, total_sum);
  }
}

void Attend(const AttendArgs& a) {
  switch (a.block.dtype) {
    case KvDtype::kF32:
      return AttendAll<F32Panel>(a);
    case KvDtype::kF16:
      return AttendAll<F16Panel>(a);
    case KvDtype::kInt8:
      return AttendAll<Int8Panel>(a);
    case KvDtype::kInt4:
      return AttendAll<Int4Panel>(a);
  }
}

void AttendChunks(const PartialArgs& p) {
  switch (p.attend->block.dtype) {
    case KvDtype::kF32:
      return AttendSome<F32Panel>(p);
    case KvDtype::kF16:
      return AttendSome<F16Panel>(p);
    case KvDtype::kInt8:
      return AttendSome<Int8Panel>(p);
    case KvDtype::kInt4:
      return AttendSome<Int4Panel>(p);
  }
}

void Exp2All(const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    const size_t count = MinOf(n - i, 16);
    StoreN(y + i, Exp2(LoadN(x + i, count)), count);
  }
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_BODY_H_
