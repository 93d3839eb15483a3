// What a linear layer costs, of any size, by tier.
//   bazel run //perf/sweeps/gemm:bench -- --force_path=avx2
//     --cases=Int8/rows:16/n:4096/k:4096/digits:1/group:32,F32/rows:16/n:576/k:576

#include "perf/bench/bench.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
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
  auto& layer = Fixture<Layer>(state.range(0), state.range(1), state.range(2), state.range(3),
                               state.range(4));
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

// A kind of benchmark, and the numbers that its name has.
struct Kind {
  const char* name;
  void (*run)(benchmark::State&);
  std::vector<std::string> numbers;
};

const std::vector<std::string> kLayer = {"rows", "n", "k", "digits", "group"};
const std::vector<std::string> kUpdated = {"rows", "n", "k", "rank", "adapters"};
const Kind kKinds[] = {
    {"Int8", Quantised<Int8Layer>, kLayer},  {"Int4", Quantised<Int4Layer>, kLayer},
    {"F32", F32, {"rows", "n", "k"}},        {"LoraInt8", Lora<Int8Layer>, kUpdated},
    {"LoraInt4", Lora<Int4Layer>, kUpdated},
};

std::string cases =
    "Int8/rows:1/n:576/k:576/digits:1/group:32,Int8/rows:128/n:576/k:576/digits:1/group:32,"
    "Int4/rows:1/n:576/k:576/digits:1/group:32,Int4/rows:128/n:576/k:576/digits:1/group:32,"
    "F32/rows:16/n:576/k:576,LoraInt8/rows:16/n:576/k:576/rank:16/adapters:4";

[[noreturn]] void Refuse(const std::string& name, const std::string& why) {
  std::fprintf(stderr, "bench: --cases: '%s': %s\n", name.c_str(), why.c_str());
  std::exit(2);
}

// "Int8/rows:1/n:576/...".
void Register(const std::string& name) {
  std::istringstream parts(name);
  std::string part;
  std::getline(parts, part, '/');
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const Kind& k) { return part == k.name; });
  if (kind == std::end(kKinds)) Refuse(name, "no benchmark is called '" + part + "'");
  std::vector<int64_t> values;
  for (const std::string& number : kind->numbers) {
    int64_t value = 0;
    const std::string start = number + ":";
    const char* end = nullptr;
    if (std::getline(parts, part, '/') && part.starts_with(start)) {
      const char* text = part.data() + start.size();
      end = std::from_chars(text, part.data() + part.size(), value).ptr;
    }
    if (end != part.data() + part.size() || value < 1) Refuse(name, "expected " + start + "NUMBER");
    values.push_back(value);
  }
  const auto at = [&](const char* number) {
    const auto found = std::find(kind->numbers.begin(), kind->numbers.end(), number);
    return found == kind->numbers.end() ? 0 : values[found - kind->numbers.begin()];
  };
  if (std::getline(parts, part)) Refuse(name, "nothing may follow '" + kind->numbers.back() + "'");
  if (at("n") % 16 != 0 || at("k") % 32 != 0) Refuse(name, "n must be 16 i and k 32 j");
  if (at("digits") > 2) Refuse(name, "digits must be 1 or 2");
  if (const int64_t group = at("group"); group % 32 != 0 || (group != 0 && at("k") % group != 0)) {
    Refuse(name, "group must be 32 i and divide k");
  }
  if (kind->name == std::string_view("Int4") && at("group") != 32) {
    Refuse(name, "int4 has groups of 32");
  }
  benchmark::RegisterBenchmark(kind->name, kind->run)->ArgNames(kind->numbers)->Args(values);
}

void Prepare() {
  std::istringstream names(cases);
  for (std::string name; std::getline(names, name, ',');) Register(name);
}

}  // namespace
}  // namespace infeng

int main(int argc, char** argv) {
  return infeng::bench::Main(argc, argv, infeng::Prepare, {{"--cases", &infeng::cases}});
}
