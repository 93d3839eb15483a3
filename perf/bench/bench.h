#ifndef INFENG_PERF_BENCH_BENCH_H_
#define INFENG_PERF_BENCH_BENCH_H_

#include <string>
#include <string_view>
#include <vector>

#include "cc/cpu/cpu.h"

// What every benchmark binary shares: google-benchmark's own flags, ours, and the mode in which
// perf/driver measures (--slices).
namespace infeng::bench {

struct Flags {
  Tier tier = Tier::kScalar;  // --force_path={auto,scalar,avx2,avx512,amx}
  int tile_tokens = 0;        // --tile_tokens=N; 0: the kernel's own choice
  int threads = 1;            // --threads=N
};

// Of the command line; valid from Main on, so in benchmarks and in `prepare`.
const Flags& GetFlags();

// A flag of one benchmark alone: --NAME=VALUE or --NAME VALUE.
struct Option {
  std::string_view name;  // with its dashes
  std::string* value;
};

// Runs the registered benchmarks as the command line says, and returns the exit code.
//
// With --slices the process stays and measures what standard input asks for, so that two of them
// can take turns of a few milliseconds. It greets with one line of JSON that tells build and
// machine. Each line "ITERATIONS NAME" is answered by one:
//   {"iterations": n, "real_s": seconds, "cpu_s": seconds, "counts": {...}}
// or {"error": "..."}. Counts are the counters without flags. A benchmark is called anew for each
// slice: data that is costly to make belongs into a static (see Fixture in
// perf/sweeps/gemm/bench.cc).
//
// prepare: registers benchmarks that depend on flags; may be null. options: further flags.
int Main(int argc, char** argv, void (*prepare)() = nullptr,
         const std::vector<Option>& options = {});

// The slowdown that --//perf:planted_slowdown=PERCENT plants, to show that a gate sees it. The
// kernel under test is run once more whenever Due() says so:
//   for (auto _ : state) {
//     do { kernel(); } while (planted.Due());
//   }
class Planted {
 public:
  // True in PERCENT of 100 calls, evenly spread, and never right after it was true.
  bool Due();

 private:
  bool again_ = false;
};

}  // namespace infeng::bench

#endif  // INFENG_PERF_BENCH_BENCH_H_
