#ifndef INFENG_CC_KERNELS_ATTENTION_PANELS_H_
#define INFENG_CC_KERNELS_ATTENTION_PANELS_H_

// Products of queries (or weights) with panels of 16 lanes. Include a tier's lanes header before
// this one. The four kinds of panel have the same four functions; a step is one row of 16 f32 or
// f16, or of 16 pairs.

#include "cc/kernels/attention/tier.h"

namespace infeng {
namespace {

// A number in a type, so that a lambda can be told it.
template <int N>
struct Constant {
  static constexpr int value = N;
};

struct F32Panel {
  using Sum = V;
  using Row = V;
  static constexpr size_t kTwoStepBytes = 128;  // of a panel
  static constexpr bool kInteger = false;
  static constexpr bool kMins = false;
  static Sum Zero() { return Set1(0.0f); }
  static Row Broadcast(const char* p) {
    float x;
    __builtin_memcpy(&x, p, 4);
    return Set1(x);
  }
  template <bool Odd>
  static Row Load(const char* panel, size_t step) {
    return infeng::Load(reinterpret_cast<const float*>(panel) + step * 16);
  }
  static Sum Step(Sum sum, Row a, Row b) { return Fma(a, b, sum); }
  static V Float(Sum sum) { return sum; }
};

struct F16Panel : F32Panel {
  static constexpr size_t kTwoStepBytes = 64;
  template <bool Odd>
  static Row Load(const char* panel, size_t step) {
    return LoadF16(reinterpret_cast<const uint16_t*>(panel) + step * 16);
  }
};

struct Int8Panel {
  using Sum = I;
  using Row = Pairs;
  static constexpr size_t kTwoStepBytes = 64;
  static constexpr bool kInteger = true;
  static constexpr bool kMins = false;
  static Sum Zero() { return ZeroI(); }
  static Row Broadcast(const char* p) { return BroadcastPair(p); }
  template <bool Odd>
  static Row Load(const char* panel, size_t step) {
    return LoadPairs8(panel + step * 32);
  }
  static Sum Step(Sum sum, Row a, Row b) { return DotPairs(sum, a, b); }
  static V Float(Sum sum) { return ToFloat(sum); }
};

struct Int4Panel : Int8Panel {
  static constexpr size_t kTwoStepBytes = 32;
  static constexpr bool kMins = true;
  template <bool Odd>
  static Row Load(const char* panel, size_t step) {
    return LoadPairs4<Odd>(panel + step / 2 * 32);
  }
};

// sum[r][p] += a[r][step] * panel[p][step], for the steps from `begin`, which is even, to `end`.
// a: rows of 4 bytes a step, Stride bytes apart. ahead: will be read later, as much as these
// panels hold. A cache beyond the second level is read in pieces of some KiB here and there, and
// the CPU's own prefetchers begin anew with each 4 KiB.
template <class K, int R, int P, size_t Stride>
__attribute__((always_inline)) inline void PanelSteps(const char* a, const char* const* panels,
                                                      size_t begin, size_t end, const char* ahead,
                                                      typename K::Sum (*sum)[P]) {
  const auto one = [&](auto odd, size_t step) __attribute__((always_inline)) {
    if constexpr (kHoldPanels) {
      typename K::Row b[P];
#pragma unroll
      for (int p = 0; p < P; ++p) b[p] = K::template Load<odd.value != 0>(panels[p], step);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        const typename K::Row x = K::Broadcast(a + r * Stride + step * 4);
#pragma unroll
        for (int p = 0; p < P; ++p) sum[r][p] = K::Step(sum[r][p], x, b[p]);
      }
      return;
    }
#pragma unroll
    for (int p = 0; p < P; ++p) {
      // Else the compiler holds the broadcasts of all panels and spills sums instead.
      if constexpr (P > 1) asm("" : "+r"(a));
      const typename K::Row b = K::template Load<odd.value != 0>(panels[p], step);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        sum[r][p] = K::Step(sum[r][p], K::Broadcast(a + r * Stride + step * 4), b);
      }
    }
  };
  size_t step = begin;
  for (; step + 2 <= end; step += 2) {
    const char* line = ahead + step / 2 * (P * K::kTwoStepBytes);
    for (size_t i = 0; i < P * K::kTwoStepBytes; i += 64) __builtin_prefetch(line + i, 0, 2);
    one(Constant<0>(), step);
    one(Constant<1>(), step + 1);
  }
  if (step < end) one(Constant<0>(), step);
}

// How many panels R queries take at once.
template <int R>
constexpr int PanelTile() {
  return kAccumulators / R >= 4 ? 4 : kAccumulators / R >= 2 ? 2 : 1;
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_PANELS_H_
