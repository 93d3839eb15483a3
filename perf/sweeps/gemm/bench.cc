// What a linear layer costs: rows x n x k of the default model, by tier.
//   bazel run //perf/sweeps/gemm:bench -- --force_path=avx2 --benchmark_filter=Int8

#include "perf/bench/bench.h"

#include <benchmark/benchmark.h>

#include <vector>

#include "perf/sweeps/gemm/bench_fixture.h"

namespace infeng {
namespace {

bench::Planted planted;

void Count(benchmark::State& state, size_t rows, size_t n, size_t k, size_t weight_bytes) {
  state.counters["ops"] = static_cast<double>(2 * rows * n * k);
  state.counters["weight_bytes"] = static_cast<double>(weight_bytes);
  state.counters["rows"] = static_cast<double>(rows);
}

template <class Layer>
void Quantised(benchmark::State& state) {
  auto& layer = Fixture<Layer>(state.range(0), state.range(1), state.range(2), state.range(3));
  for (auto _ : state) {
    do {
      layer.Run();
      benchmark::ClobberMemory();
    } while (planted.Due());
  }
  Count(state, layer.rows, layer.n, layer.k, layer.WeightBytes());
}

void F32(benchmark::State& state) {
  auto& layer = Fixture<F32Layer>(state.range(0), state.range(1), state.range(2));
  for (auto _ : state) {
    do {
      layer.Run();
      benchmark::ClobberMemory();
    } while (planted.Due());
  }
  Count(state, layer.rows, layer.n, layer.k, layer.WeightBytes());
}

// A linear layer and the low-rank updates of its rows.
template <class Base>
void Lora(benchmark::State& state) {
  auto& layer = Fixture<LoraLayer<Base>>(state.range(0), state.range(1), state.range(2),
                                         state.range(3), state.range(4));
  for (auto _ : state) {
    do {
      layer.Run();
      benchmark::ClobberMemory();
    } while (planted.Due());
  }
  Count(state, layer.base.rows, layer.base.n, layer.base.k, layer.base.WeightBytes());
}

const std::vector<int64_t> kRows = {1, 4, 16, 128};

void Prepare() {
  auto* int8 = benchmark::RegisterBenchmark("Int8", Quantised<Int8Layer>);
  int8->ArgNames({"rows", "n", "k", "digits"});
  int8->ArgsProduct({kRows, {576, 1536}, {576}, {1}});
  int8->ArgsProduct({kRows, {576}, {576}, {2}});
  int8->ArgsProduct({kRows, {576}, {1536}, {1}});
  int8->ArgsProduct({{1, 4}, {49152}, {576}, {2}});
  auto* f32 = benchmark::RegisterBenchmark("F32", F32);
  f32->ArgNames({"rows", "n", "k"});
  f32->ArgsProduct({kRows, {192, 576, 1536}, {576}});
  f32->ArgsProduct({kRows, {576}, {1536}});
  auto* lora = benchmark::RegisterBenchmark("Lora", Lora<Int8Layer>);
  lora->ArgNames({"rows", "n", "k", "rank", "adapters"});
  lora->ArgsProduct({kRows, {576}, {576}, {8, 16, 64}, {1, 4}});
  lora->ArgsProduct({kRows, {1536}, {576}, {16}, {1, 4}});
}

}  // namespace
}  // namespace infeng

int main(int argc, char** argv) { return infeng::bench::Main(argc, argv, infeng::Prepare); }
