#ifndef INFENG_CC_KERNELS_ATTENTION_WEIGHTS_H_
#define INFENG_CC_KERNELS_ATTENTION_WEIGHTS_H_

// Of products of queries and keys makes weights for the values. Include a tier's lanes header
// before this one.

#include "cc/kernels/attention/exp2.h"
#include "cc/kernels/attention/panels.h"
#include "cc/kernels/attention/work.h"

namespace infeng {
namespace {

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

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_WEIGHTS_H_
