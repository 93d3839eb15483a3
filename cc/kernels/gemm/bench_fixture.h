#ifndef INFENG_CC_KERNELS_GEMM_BENCH_FIXTURE_H_
#define INFENG_CC_KERNELS_GEMM_BENCH_FIXTURE_H_

// Linear layers with data in them, for the benchmarks.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/base/thread_pool.h"
#include "cc/kernels/gemm/gemm.h"
#include "perf/bench/bench.h"

namespace infeng {

inline constexpr size_t kBenchGroup = 32;

inline ThreadPool& BenchPool() {
  static ThreadPool pool(bench::GetFlags().threads);
  return pool;
}

// Calls body(begin, end) for ranges of [0, count), as cc/model/linear.cc deals out panels.
template <class Body>
void BenchRanges(size_t count, const Body& body) {
  const auto threads = static_cast<size_t>(bench::GetFlags().threads);
  if (threads == 1) return body(size_t{0}, count);
  BenchPool().ParallelFor(count, std::clamp<size_t>(count / (4 * threads), 1, 64), body);
}

// Made once per process: a benchmark is called anew for each slice of time.
template <class Layer, class... Args>
Layer& Fixture(Args... args) {
  static std::map<std::tuple<Args...>, std::unique_ptr<Layer>> made;
  auto& layer = made[{args...}];
  if (!layer) layer = std::make_unique<Layer>(static_cast<size_t>(args)...);
  return *layer;
}

inline void FillActivations(AlignedBuffer<float>* x) {
  for (size_t i = 0; i < x->size(); ++i) (*x)[i] = static_cast<float>(i % 97) - 48.0f;
}

struct Int8Layer {
  Int8Layer(size_t rows, size_t n, size_t k, size_t digits)
      : rows(rows),
        n(n),
        k(k),
        x(rows * k),
        w(n * k),
        w_scale(n * k / kBenchGroup),
        q(rows * digits * k),
        scale(rows * digits * k / kBenchGroup),
        offset(scale.size()),
        y(rows * n),
        view{q.data(), scale.data(), offset.data(), digits, k, kBenchGroup} {
    FillActivations(&x);
    for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<int8_t>(i * 31 % 255 - 127);
    for (uint16_t& s : w_scale) s = 0x3c00;
  }

  void Run() {
    const GemmTier& kernels = GemmKernels(bench::GetFlags().tier);
    kernels.quantize({x.data(), k, k, 0, rows, view});
    BenchRanges(n / 16, [&](size_t begin, size_t end) {
      kernels.int8_linear(
          {w.data(), w_scale.data(), view.digits, view, rows, n, begin, end, y.data(), n, false});
    });
  }

  size_t WeightBytes() const { return w.size() + w_scale.size() * sizeof(uint16_t); }

  size_t rows, n, k;
  AlignedBuffer<float> x;
  AlignedBuffer<int8_t> w;
  AlignedBuffer<uint16_t> w_scale;
  AlignedBuffer<int8_t> q;
  AlignedBuffer<float> scale;
  AlignedBuffer<int32_t> offset;
  AlignedBuffer<float> y;
  QuantizedRows view;
};

struct F32Layer {
  F32Layer(size_t rows, size_t n, size_t k)
      : rows(rows), n(n), k(k), x(rows * k), w(n * k), y(rows * n) {
    FillActivations(&x);
    std::fill(w.begin(), w.end(), 0.5f);
  }

  void Run() {
    const GemmTier& kernels = GemmKernels(bench::GetFlags().tier);
    BenchRanges(n / 16, [&](size_t begin, size_t end) {
      kernels.f32_linear(
          {w.data(), k, x.data(), k, rows, begin * 16, end * 16, y.data(), n, false});
    });
  }

  size_t WeightBytes() const { return w.size() * sizeof(float); }

  size_t rows, n, k;
  AlignedBuffer<float> x, w, y;
};

// The low-rank term as cc/model computes it: two f32 layers per adapter, over that adapter's rows.
struct LoraLayer {
  LoraLayer(size_t rows, size_t n, size_t k, size_t rank, size_t adapters)
      : base(rows, n, k, 1), rank(rank), rank_padded((rank + 15) / 16 * 16), low(rows * rank_padded) {
    for (size_t i = 0; i < std::min(adapters, rows); ++i) {
      down.emplace_back(rank * k);
      up.emplace_back(n * rank_padded);
      std::fill(down.back().begin(), down.back().end(), 0.25f);
      std::fill(up.back().begin(), up.back().end(), 0.25f);
    }
  }

  void Run() {
    base.Run();
    const GemmTier& kernels = GemmKernels(bench::GetFlags().tier);
    const size_t used = down.size();
    for (size_t i = 0; i < used; ++i) {
      const size_t begin = base.rows * i / used;
      const size_t count = base.rows * (i + 1) / used - begin;
      kernels.f32_linear({down[i].data(), base.k, base.x.data() + begin * base.k, base.k, count, 0,
                          rank, low.data() + begin * rank_padded, rank_padded, false});
      BenchRanges(base.n / 16, [&](size_t from, size_t to) {
        kernels.f32_linear({up[i].data(), rank_padded, low.data() + begin * rank_padded,
                            rank_padded, count, from * 16, to * 16,
                            base.y.data() + begin * base.n, base.n, true});
      });
    }
  }

  Int8Layer base;
  size_t rank, rank_padded;
  std::vector<AlignedBuffer<float>> down, up;
  AlignedBuffer<float> low;
};

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_GEMM_BENCH_FIXTURE_H_
