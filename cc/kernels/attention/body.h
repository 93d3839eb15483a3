#ifndef INFENG_CC_KERNELS_ATTENTION_BODY_H_
#define INFENG_CC_KERNELS_ATTENTION_BODY_H_

// Written once over 16 lanes. Include a tier's lanes header before this one.

#include "cc/kernels/attention/exp2.h"
#include "cc/kernels/attention/panels.h"
#include "cc/kernels/attention/tier.h"

namespace infeng {
namespace {

constexpr float kInfinity = __builtin_inff();
constexpr float kLog2E = 0x1.715476p+0f;
constexpr size_t kPanels = kChunkPositions / 16;
// A row of scores becomes in place a row of weights; int16 ones leave room for outliers' sums.
constexpr size_t kOutlierSums = kChunkPositions / 2;
constexpr size_t kScoreStride = kOutlierSums + kMaxHeadDim;
static_assert(kScoreStride >= kChunkPositions);

inline size_t MinOf(size_t a, size_t b) { return a < b ? a : b; }
inline size_t MaxOf(size_t a, size_t b) { return a > b ? a : b; }

// What one call works on and with.
struct Work {
  const AttendArgs* args;
  size_t queries;
  size_t q_stride;                                 // bytes
  float scores[kMaxQueries][kScoreStride];         // of one chunk
  float key_scale[kChunkPositions], value_scale[kChunkPositions];
  float key_min[kChunkPositions], value_min[kChunkPositions];  // int4
  float greatest[kMaxQueries];                     // weight of one chunk
  float value_factor[kMaxQueries];                 // of the integer sums
  float value_base[kMaxQueries];                   // int4: what the mins add
  float query_sum[kMaxQueries];                    // int4: of the integers
  float factor[kMaxQueries];                       // of the scores of one chunk
  float max[kMaxQueries], sum[kMaxQueries];        // of one chunk
  float old_factor[kMaxQueries], new_factor[kMaxQueries];
  bool active[kMaxQueries];                        // has positions in this chunk
  float total_max[kMaxQueries], total_sum[kMaxQueries];
  float out[kMaxQueries][kMaxHeadDim];             // with stride padded_dim

  const char* Block(size_t position) const {
    return static_cast<const char*>(args->pages[position / kPagePositions]) + args->block_offset;
  }
};

// The positions that a row attends to, and of these the ones in a chunk that begins at `chunk`.
struct Range {
  size_t begin, end;
};

inline Range RowRange(const AttendArgs& a, size_t row) {
  const size_t end = a.position + row + 1;
  return {a.window != 0 && end > a.window ? end - a.window : 0, end};
}

inline Range Within(Range range, size_t chunk) {
  const size_t chunk_end = chunk + kChunkPositions;
  const size_t begin = MinOf(MaxOf(range.begin, chunk), chunk_end);
  return {begin - chunk, MaxOf(begin, MinOf(range.end, chunk_end)) - chunk};
}

inline const KvOutliers* OutliersAt(const char* block, size_t offset) {
  return reinterpret_cast<const KvOutliers*>(block + offset);
}

// Calls body(position in the chunk, entry) for each outlier of the chunk's positions in `range`.
template <class F>
inline void ForEachOutlier(const Work& w, size_t offset, size_t chunk, Range range, F body) {
  for (size_t page = range.begin / kPagePositions * kPagePositions; page < range.end;
       page += kPagePositions) {
    const KvOutliers* list = OutliersAt(w.Block(chunk + page), offset);
    const size_t last = MinOf(range.end - page, kPagePositions) - 1;
    const size_t count = list->end[last];
    if (count == 0) continue;
    size_t slot = 0;
    for (size_t e = 0; e < count; ++e) {
      while (list->end[slot] <= e) ++slot;
      if (page + slot >= range.begin) body(page + slot, list->entries[e]);
    }
  }
}

inline float LoadI16At(const char* p) {
  int16_t value;
  __builtin_memcpy(&value, p, 2);
  return static_cast<float>(value);
}

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
  const char* q = static_cast<const char*>(a.q) + query * w.q_stride;
  const size_t steps = w.q_stride / 4;
  size_t panel = begin;
  const auto run = [&](auto width) __attribute__((always_inline)) {
    constexpr int P = width.value;
    const char* panels[P];
    typename K::Sum sum[R][P];
    for (int p = 0; p < P; ++p) {
      const size_t position = chunk + (panel + p) * 16;
      panels[p] = w.Block(position) + a.block.keys +
                  position % kPagePositions / 16 * a.block.key_panel_bytes;
      for (int r = 0; r < R; ++r) sum[r][p] = K::Zero();
    }
    // The first queries announce the page's values, as many as the keys that they read.
    const char* ahead = panels[0] + (query == 0 ? a.block.values - a.block.keys : 0);
    PanelSteps<K, R, P>(q, w.q_stride, panels, 0, steps, ahead, sum);
    for (int r = 0; r < R; ++r) {
      for (int p = 0; p < P; ++p) {
        Store(w.scores[query + r] + (panel + p) * 16, K::Float(sum[r][p]));
      }
    }
    panel += P;
  };
  while (panel + kTile <= end) run(Constant<kTile>());
  if constexpr (kTile > 1) {
    while (panel < end) run(Constant<1>());
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
    for (int r = 0; r < R; ++r) {
      for (int p = 0; p < P; ++p) sum[r][p] = K::Zero();
    }
    for (size_t page = range.begin / kPagePositions * kPagePositions; page < range.end;
         page += kPagePositions) {
      const char* block = w.Block(chunk + page) + a.block.values;
      const char* panels[P];
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
      PanelSteps<K, R, P>(weights + page / kStep * 4, kScoreStride * sizeof(float), panels,
                          begin / kStep, (end + kStep - 1) / kStep, ahead, sum);
    }
    for (int r = 0; r < R; ++r) {
      const size_t i = query + static_cast<size_t>(r);
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
    panel += P;
  };
  while (panel + kTile <= count) run(Constant<kTile>());
  if constexpr (kTile > 1) {
    while (panel < count) run(Constant<1>());
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

// 1 - 2 / (1 + 2^(2 log2 e y)); the exponent is clamped to where the result no longer changes.
inline V Tanh(V y) {
  const V limit = Set1(60.0f);
  const V x = Mul(y, Set1(2.0f * kLog2E));
  const V clamped = Min(limit, Max(Negate(limit), x));
  // Exp2 takes x <= 0: 2^x = 2^60 * 2^(x - 60).
  const V power = Mul(Exp2(Sub(clamped, limit)), Set1(0x1p60f));
  return Sub(Set1(1.0f), Div(Set1(2.0f), Add(Set1(1.0f), power)));
}

// The lanes of `x`, which are positions j and on, that lie in the range; `other` in the rest.
inline V InRange(V x, V other, size_t j, Range range) {
  if (j >= range.begin && j + 16 <= range.end) return x;
  const auto at = static_cast<int>(j);
  return KeepRange(x, other, static_cast<int>(range.begin) - at, static_cast<int>(range.end) - at);
}

// A row of products becomes y of the scores y * factor; sets both their greatest and the factor.
// `range` is not empty.
template <class K>
inline void FinishScores(Work& w, size_t query, Range range) {
  const AttendArgs& a = *w.args;
  float* s = w.scores[query];
  float factor = K::kInteger ? a.q_scale[query] : a.scale * kLog2E;
  V greatest = Set1(-kInfinity);
  const auto all = [&](auto finish) __attribute__((always_inline)) {
    for (size_t j = range.begin / 16 * 16; j < range.end; j += 16) {
      const V y = finish(Load(s + j), j);
      greatest = Max(greatest, InRange(y, Set1(-kInfinity), j, range));
      Store(s + j, y);
    }
  };
  const auto scaled = [&](V x, size_t j) __attribute__((always_inline)) {
    if constexpr (K::kInteger) {
      x = Mul(x, Load(w.key_scale + j));
      if constexpr (K::kMins) x = Fma(Set1(w.query_sum[query]), Load(w.key_min + j), x);
    }
    return x;
  };
  if (a.soft_cap == 0.0f) {
    all(scaled);
  } else {
    const V to_tanh = Set1(factor * (1.0f / kLog2E) / a.soft_cap);
    const V cap = Set1(a.soft_cap * kLog2E);
    factor = 1.0f;
    all([&](V x, size_t j) { return Mul(Tanh(Mul(scaled(x, j), to_tanh)), cap); });
  }
  w.factor[query] = factor;
  w.max[query] = ReduceMax(greatest) * factor;
}

// A row of y becomes weights, in the panels of `all`; 0 outside `range`.
template <class K>
inline void Softmax(Work& w, size_t query, Range range, Range all) {
  float* s = w.scores[query];
  const V factor = Set1(w.factor[query]);
  const V less = Set1(-w.max[query]);
  const size_t first = range.begin / 16 * 16;
  V total = Set1(0.0f);
  V greatest = Set1(0.0f);
  V base = Set1(0.0f);
  for (size_t j = all.begin / 16 * 16; j < first; j += 16) Store(s + j, Set1(0.0f));
  for (size_t j = first; j < range.end; j += 16) {
    V p = InRange(Exp2(Fma(Load(s + j), factor, less)), Set1(0.0f), j, range);
    total = Add(total, p);
    if constexpr (K::kInteger) {
      if constexpr (K::kMins) base = Fma(p, Load(w.value_min + j), base);
      p = Mul(p, Load(w.value_scale + j));
      greatest = Max(greatest, p);
    }
    Store(s + j, p);
  }
  for (size_t j = (range.end + 15) / 16 * 16; j < all.end; j += 16) Store(s + j, Set1(0.0f));
  w.sum[query] = Sum(total);
  if constexpr (K::kInteger) w.greatest[query] = ReduceMax(greatest);
  w.value_base[query] = K::kMins ? Sum(base) : 0.0f;
}

// A row of weights becomes int16, in place: they never reach the f32 that are still to be read.
inline void QuantizeWeights(Work& w, size_t query, Range all) {
  const float* s = w.scores[query];
  char* to = reinterpret_cast<char*>(w.scores[query]);
  const float t = w.greatest[query];
  float inverse = 32767.0f / t;
  if (!(inverse < kInfinity)) inverse = 0.0f;
  for (size_t j = all.begin / 16 * 16; j < all.end; j += 16) {
    StoreI16(to + 2 * j, Mul(Load(s + j), Set1(inverse)));
  }
  w.value_factor[query] = t * (1.0f / 32767.0f);
}

// Of products makes weights, for all queries. A few queries at a time: one's reductions run while
// the next one's lanes are computed, and their rows stay in the first-level cache.
template <class K>
void Weights(Work& w, size_t chunk, bool merge, Range all) {
  const AttendArgs& a = *w.args;
  constexpr size_t kTogether = 8;
  for (size_t first = 0; first < w.queries; first += kTogether) {
    const size_t end = MinOf(first + kTogether, w.queries);
    Range range[kTogether];
    for (size_t i = first; i < end; ++i) {
      range[i - first] = Within(RowRange(a, i / a.heads), chunk);
      w.active[i] = range[i - first].begin < range[i - first].end;
      if (w.active[i]) FinishScores<K>(w, i, range[i - first]);
    }
    for (size_t i = first; i < end; ++i) Softmax<K>(w, i, range[i - first], all);
    if constexpr (K::kInteger) {
      for (size_t i = first; i < end; ++i) QuantizeWeights(w, i, all);
    }
  }
  if (!merge) return;
  for (size_t i = 0; i < w.queries; ++i) {
    if (!w.active[i]) continue;
    const float max = w.total_max[i] > w.max[i] ? w.total_max[i] : w.max[i];
    w.old_factor[i] = Exp2(w.total_max[i] - max);
    w.new_factor[i] = Exp2(w.max[i] - max);
    w.total_sum[i] = __builtin_fmaf(w.total_sum[i], w.old_factor[i], w.sum[i] * w.new_factor[i]);
    w.total_max[i] = max;
  }
}

// The positions' scales in f32; those of keys times what makes scores of products. Beyond the range,
// within its panels, those of values are 0: what was never written must not matter.
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
    const char* q = static_cast<const char*>(a.q) + e.dim * 2;
    const auto value = static_cast<float>(e.value);
    for (size_t i = 0; i < w.queries; ++i) {
      w.scores[i][j] = __builtin_fmaf(LoadI16At(q + i * w.q_stride), value, w.scores[i][j]);
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

// One chunk: its (m, l) into w.max and w.sum, o into `out`; or all merged into the totals and `out`.
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
  w.q_stride = a.block.padded_dim * (K::kInteger ? 2 : 4);
  if constexpr (!K::kMins) return;
  for (size_t i = 0; i < w.queries; ++i) {
    const char* q = static_cast<const char*>(a.q) + i * w.q_stride;
    int32_t sum = 0;
    for (size_t d = 0; d < a.block.padded_dim; ++d) {
      int16_t value;
      __builtin_memcpy(&value, q + 2 * d, 2);
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
