#include "perf/attention/bench_main.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "perf/attention/layers.h"
#include "perf/bench/bench.h"

namespace infeng {
namespace {

bench::Planted planted;
const char* name_prefix = "";
size_t step_rows = 1;

// Made once per process: a benchmark is called anew for each slice of time.
Layers& Fixture(KvDtype dtype, const Shape& s) {
  static std::map<std::tuple<KvDtype, size_t, size_t, size_t, size_t, size_t>,
                  std::unique_ptr<Layers>>
      made;
  auto& layers = made[{dtype, s.ctx, s.heads_q, s.heads_kv, s.head_dim, s.layers}];
  if (!layers) {
    const bench::Flags& flags = bench::GetFlags();
    layers = std::make_unique<Layers>(dtype, s, flags.tier, flags.threads,
                                      static_cast<size_t>(flags.tile_tokens));
    layers->Step();
  }
  return *layers;
}

// Computed once: one layer tells it.
Difference DifferenceOf(KvDtype dtype, Shape s) {
  static std::map<std::tuple<KvDtype, size_t, size_t, size_t, size_t>, Difference> known;
  const auto key = std::tuple(dtype, s.ctx, s.heads_q, s.heads_kv, s.head_dim);
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  s.layers = 1;
  const bench::Flags& flags = bench::GetFlags();
  Layers f16(KvDtype::kF16, s, flags.tier, 1, 0);
  Layers other(dtype, s, flags.tier, 1, 0);
  f16.Step();
  other.Step();
  return known[key] = AgainstF16(other, f16);
}

void Step(benchmark::State& state, KvDtype dtype) {
  const auto at = [&](int i) { return static_cast<size_t>(state.range(i)); };
  const Shape shape = {at(0), at(1), at(2), at(3), step_rows, at(4)};
  Layers& layers = Fixture(dtype, shape);
  const Difference difference = DifferenceOf(dtype, shape);
  // The baseline is not the kernel under test.
  const bool under_test = dtype != KvDtype::kF16;
  for (auto _ : state) {
    do {
      layers.Step();
      benchmark::ClobberMemory();
    } while (under_test && planted.Due());
  }
  state.counters["tokens"] = static_cast<double>(shape.rows);
  state.counters["layers"] = static_cast<double>(layers.shape().layers);
  state.counters["ops"] = layers.operations();
  state.counters["kv_bytes"] = layers.kv_bytes();
  state.counters["scratch_bytes"] = layers.scratch_bytes();
  state.counters["csr_outliers"] = layers.csr_outliers();
  state.counters["l2_bytes_per_token"] = layers.l2_bytes_per_token();
  state.counters["tile_tokens"] = static_cast<double>(layers.tile_tokens());
  state.counters["l2_diff"] = difference.l2_diff;
  state.counters["l2_rel"] = difference.l2_rel;
}

void Prepare() {
  const int tile = bench::GetFlags().tile_tokens;
  if (tile != 0 && (tile < 16 || tile > 256 || (tile & (tile - 1)) != 0)) {
    std::fprintf(stderr, "--tile_tokens=%d: expected 16, 32, 64, 128 or 256\n", tile);
    std::exit(2);
  }
  for (const KvDtype dtype : {KvDtype::kF16, KvDtype::kInt8, KvDtype::kInt4}) {
    const std::string name = std::string(name_prefix) + "_" + KvDtypeName(dtype);
    auto* bench = benchmark::RegisterBenchmark(
        name.c_str(), [dtype](benchmark::State& state) { Step(state, dtype); });
    bench->ArgNames({"ctx", "q", "kv", "dim", "layers"});
    for (const int64_t ctx : {128, 512, 2048, 4096, 8192, 16384, 32768}) {
      bench->Args({ctx, 9, 3, 64, 0});    // the default model
      bench->Args({ctx, 32, 8, 128, 0});  // Llama 8B
    }
    bench->Args({2048, 9, 3, 64, 1});
    bench->Args({8192, 9, 3, 64, 1});
  }
}

}  // namespace

int AttentionBenchMain(int argc, char** argv, const char* prefix, size_t rows) {
  name_prefix = prefix;
  step_rows = rows;
  return bench::Main(argc, argv, Prepare);
}

}  // namespace infeng
