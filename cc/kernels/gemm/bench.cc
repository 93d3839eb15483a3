// What a linear layer costs: rows x n x k of the default model, by tier.
//   bazel run //cc/kernels/gemm:bench -- --force_path=avx2 --benchmark_filter=Int8

#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/cpu/cpu.h"
#include "cc/kernels/gemm/gemm.h"

namespace infeng {
namespace {

Tier tier = Tier::kScalar;

constexpr size_t kGroup = 32;

void Count(benchmark::State& state, size_t rows, size_t n, size_t k, size_t weight_bytes) {
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["mac/s"] =
      benchmark::Counter(rounds * static_cast<double>(rows * n * k), benchmark::Counter::kIsRate);
  state.counters["weight_bytes/s"] =
      benchmark::Counter(rounds * static_cast<double>(weight_bytes), benchmark::Counter::kIsRate,
                         benchmark::Counter::kIs1024);
}

void Int8(benchmark::State& state) {
  const auto rows = static_cast<size_t>(state.range(0));
  const auto n = static_cast<size_t>(state.range(1));
  const auto k = static_cast<size_t>(state.range(2));
  const auto digits = static_cast<size_t>(state.range(3));
  const GemmTier& kernels = GemmKernels(tier);
  AlignedBuffer<float> x(rows * k);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 97) - 48.0f;
  AlignedBuffer<int8_t> w(n * k);
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<int8_t>(i * 31 % 255 - 127);
  AlignedBuffer<uint16_t> w_scale(n * k / kGroup);
  for (uint16_t& scale : w_scale) scale = 0x3c00;
  AlignedBuffer<int8_t> q(rows * digits * k);
  AlignedBuffer<float> scale(rows * digits * k / kGroup);
  AlignedBuffer<int32_t> offset(scale.size());
  AlignedBuffer<float> y(rows * n);
  const QuantizedRows view = {q.data(), scale.data(), offset.data(), digits, k, kGroup};
  for (auto _ : state) {
    kernels.quantize({x.data(), k, k, 0, rows, view});
    kernels.int8_linear(
        {w.data(), w_scale.data(), digits, view, rows, n, 0, n / 16, y.data(), n, false});
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  Count(state, rows, n, k, w.size() + w_scale.size() * 2);
}

void F32(benchmark::State& state) {
  const auto rows = static_cast<size_t>(state.range(0));
  const auto n = static_cast<size_t>(state.range(1));
  const auto k = static_cast<size_t>(state.range(2));
  const GemmTier& kernels = GemmKernels(tier);
  AlignedBuffer<float> x(rows * k);
  AlignedBuffer<float> w(n * k);
  AlignedBuffer<float> y(rows * n);
  for (auto _ : state) {
    kernels.f32_linear({w.data(), k, x.data(), k, rows, 0, n, y.data(), n, false});
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  Count(state, rows, n, k, w.size() * sizeof(float));
}

const std::vector<int64_t> kRows = {1, 4, 16, 128};

BENCHMARK(Int8)->ArgNames({"rows", "n", "k", "digits"})->ArgsProduct({kRows, {576}, {576}, {1, 2}});
BENCHMARK(Int8)->ArgNames({"rows", "n", "k", "digits"})->ArgsProduct({kRows, {1536}, {576}, {1}});
BENCHMARK(Int8)->ArgNames({"rows", "n", "k", "digits"})->ArgsProduct({kRows, {576}, {1536}, {1}});
BENCHMARK(Int8)->ArgNames({"rows", "n", "k", "digits"})->ArgsProduct({{1, 4}, {49152}, {576}, {2}});
BENCHMARK(F32)->ArgNames({"rows", "n", "k"})->ArgsProduct({kRows, {1536}, {576}});

}  // namespace
}  // namespace infeng

int main(int argc, char** argv) {
  std::string force_path = "auto";
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    constexpr std::string_view kFlag = "--force_path=";
    const std::string_view argument = argv[i];
    if (argument.starts_with(kFlag)) {
      force_path = argument.substr(kFlag.size());
    } else {
      rest.push_back(argv[i]);
    }
  }
  const auto tier = infeng::ChooseTier(force_path, infeng::DetectCpu());
  if (!tier.ok()) {
    std::fprintf(stderr, "bench: %s\n", tier.status().message().c_str());
    return 2;
  }
  infeng::tier = *tier;
  benchmark::AddCustomContext("tier", infeng::TierName(*tier));
  int count = static_cast<int>(rest.size());
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
