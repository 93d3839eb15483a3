#ifndef INFENG_PERF_SWEEPS_GEMM_BENCH_FIXTURE_H_
#define INFENG_PERF_SWEEPS_GEMM_BENCH_FIXTURE_H_

// Linear layers with data in them, for the benchmarks.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/base/thread_pool.h"
#include "cc/kernels/gemm/gemm.h"
#include "cc/kernels/lora/lora.h"
#include "perf/bench/bench.h"

namespace infeng {

inline ThreadPool& BenchPool() {
  static ThreadPool pool(bench::GetFlags().threads);
  return pool;
}

// Calls body(begin, end) for ranges of [0, count), as cc/model/linear.cc deals out panels.
template <class Body>
void BenchRanges(size_t count, const Body& body) {
  const auto threads = static_cast<size_t>(bench::GetFlags().threads);
  if (threads == 1) return body(size_t{0}, count);
  BenchPool().ParallelFor(count, std::bit_floor(std::clamp<size_t>(count / (4 * threads), 1, 64)),
                          body);
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

// Owns what QuantizedRows points to.
struct BenchInput {
  BenchInput(size_t rows, size_t k, size_t digits, size_t group)
      : x(rows * k),
        q((rows + kWideTile - 1) / kWideTile * kWideTile * digits * k),
        scale(rows * digits * k / group),
        offset(scale.size()),
        sum(scale.size()),
        view{q.data(),   scale.data(), offset.data(),
             sum.data(), rows,         digits,
             k,          group,        GemmKernels(bench::GetFlags().tier).Wide(rows)} {
    FillActivations(&x);
  }

  void Quantize() {
    GemmKernels(bench::GetFlags().tier).quantize({x.data(), view.kp, view.kp, 0, view.rows, view});
  }

  AlignedBuffer<float> x;
  AlignedBuffer<int8_t> q;
  AlignedBuffer<float> scale;
  AlignedBuffer<int32_t> offset;
  AlignedBuffer<float> sum;
  QuantizedRows view;
};

struct Int8Layer {
  Int8Layer(size_t rows, size_t n, size_t k, size_t digits, size_t group)
      : rows(rows),
        n(n),
        k(k),
        input(rows, k, digits, group),
        w(n * k),
        w_scale(n * k / group),
        y(rows * n) {
    for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<int8_t>(i * 31 % 255 - 127);
    for (uint16_t& s : w_scale) s = 0x3c00;
  }

  void RunPanels(size_t begin, size_t end) {
    GemmKernels(bench::GetFlags().tier)
        .int8_linear({w.data(), w_scale.data(), input.view.digits, input.view, n, begin, end,
                      y.data(), n, false});
  }
  void Run() {
    input.Quantize();
    BenchRanges(n / 16, [&](size_t begin, size_t end) { RunPanels(begin, end); });
  }

  size_t WeightBytes() const { return w.size() + w_scale.size() * sizeof(uint16_t); }

  size_t rows, n, k;
  BenchInput input;
  AlignedBuffer<int8_t> w;
  AlignedBuffer<uint16_t> w_scale;
  AlignedBuffer<float> y;
};

struct Int4Layer {
  Int4Layer(size_t rows, size_t n, size_t k, size_t digits, size_t group)
      : rows(rows),
        n(n),
        k(k),
        input(rows, k, digits, group),
        w(n * k / 2),
        w_scale(n * k / group * 2),
        y(rows * n) {
    for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<uint8_t>(i * 31 % 255);
    for (uint16_t& s : w_scale) s = 0x3000;
  }

  void RunPanels(size_t begin, size_t end) {
    GemmKernels(bench::GetFlags().tier)
        .int4_linear({w.data(), w_scale.data(), input.view.digits, input.view, n, begin, end,
                      y.data(), n, false});
  }
  void Run() {
    input.Quantize();
    BenchRanges(n / 16, [&](size_t begin, size_t end) { RunPanels(begin, end); });
  }

  size_t WeightBytes() const { return w.size() + w_scale.size() * sizeof(uint16_t); }

  size_t rows, n, k;
  BenchInput input;
  AlignedBuffer<uint8_t> w;
  AlignedBuffer<uint16_t> w_scale;
  AlignedBuffer<float> y;
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

// A layer and the low-rank updates of its rows, dealt out to the adapters in turn, as
// LinearRunner of cc/model does it.
template <class Base>
struct LoraLayer {
  LoraLayer(size_t rows, size_t n, size_t k, size_t rank, size_t adapters)
      : base(rows, n, k, 1, 32),
        rank(rank),
        low_stride((rank + 7) / 8 * 8),
        low(rows * low_stride) {
    for (size_t i = 0; i < std::min(adapters, rows); ++i) {
      a.emplace_back(low_stride * k);
      b.emplace_back(n * rank);
      std::fill(a.back().begin(), a.back().end(), 0x3400);
      std::fill(b.back().begin(), b.back().end(), 0x3400);
      row_indices.emplace_back();
    }
    for (size_t i = 0; i < rows; ++i) {
      row_indices[i % row_indices.size()].push_back(static_cast<uint32_t>(i));
    }
  }

  void Run() {
    const LoraTier& kernels = LoraKernels(bench::GetFlags().tier);
    base.input.Quantize();
    for (size_t i = 0; i < a.size(); ++i) {
      kernels.shrink({a[i].data(), rank, base.k, base.input.x.data(), base.k, row_indices[i].data(),
                      row_indices[i].size(), 1.0f, low.data(), low_stride});
    }
    BenchRanges(base.n / 16, [&](size_t begin, size_t end) {
      base.RunPanels(begin, end);
      for (size_t i = 0; i < a.size(); ++i) {
        kernels.expand({b[i].data(), rank, low.data(), low_stride, row_indices[i].data(),
                        row_indices[i].size(), base.n, begin, end, base.y.data(), base.n});
      }
    });
  }

  Base base;
  size_t rank, low_stride;
  std::vector<AlignedBuffer<uint16_t>> a, b;
  std::vector<std::vector<uint32_t>> row_indices;
  AlignedBuffer<float> low;
};

}  // namespace infeng

#endif  // INFENG_PERF_SWEEPS_GEMM_BENCH_FIXTURE_H_
