// The machine's peaks, and yardsticks for kernels: what a core can do at most.
//   bazel run //perf/peaks:bench -- --force_path=avx2

#include "perf/bench/bench.h"

#include <benchmark/benchmark.h>

#include <cstring>
#include <map>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/base/thread_pool.h"
#include "perf/peaks/peaks.h"

namespace infeng {
namespace {

constexpr size_t kRounds = 16384;

ThreadPool& Pool() {
  static ThreadPool pool(bench::GetFlags().threads);
  return pool;
}

// Calls body(thread) for each of --threads=N.
template <class Body>
void OnEachThread(const Body& body) {
  const auto threads = static_cast<size_t>(bench::GetFlags().threads);
  if (threads == 1) return body(size_t{0});
  Pool().ParallelFor(threads, 1, [&](size_t begin, size_t) { body(begin); });
}

double Threads() { return bench::GetFlags().threads; }

void Int8Mac(benchmark::State& state) {
  const PeakTier& kernels = PeakKernels(bench::GetFlags().tier);
  for (auto _ : state) {
    OnEachThread([&](size_t) { benchmark::DoNotOptimize(kernels.int8(kRounds)); });
  }
  state.counters["ops"] = Threads() * static_cast<double>(kRounds * kernels.int8_ops);
}

void F32Fma(benchmark::State& state) {
  const PeakTier& kernels = PeakKernels(bench::GetFlags().tier);
  for (auto _ : state) {
    OnEachThread([&](size_t) { benchmark::DoNotOptimize(kernels.f32(kRounds)); });
  }
  state.counters["ops"] = Threads() * static_cast<double>(kRounds * kernels.f32_ops);
}

const std::vector<AlignedBuffer<char>>& Buffers(size_t bytes) {
  static std::map<size_t, std::vector<AlignedBuffer<char>>> made;
  std::vector<AlignedBuffer<char>>& buffers = made[bytes];
  while (buffers.size() < static_cast<size_t>(bench::GetFlags().threads)) {
    buffers.emplace_back(bytes);
    // Written with ones, so that each page is there and is not the kernel's page of zeros.
    std::memset(buffers.back().data(), 1, bytes);
  }
  return buffers;
}

// Reads a buffer of so many bytes again and again; with threads, each has its own.
void Read(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  const auto& buffers = Buffers(bytes);
  const PeakTier& kernels = PeakKernels(bench::GetFlags().tier);
  for (auto _ : state) {
    OnEachThread([&](size_t thread) {
      benchmark::DoNotOptimize(kernels.read(buffers[thread].data(), bytes));
    });
  }
  state.counters["bytes"] = Threads() * static_cast<double>(bytes);
}

// One addition a cycle, each waiting for the last: the clock's frequency.
void Cycles(benchmark::State& state) {
  uint64_t x = 1;
  for (auto _ : state) {
    for (size_t i = 0; i < kRounds; ++i) __asm__ volatile("add %0, %0" : "+r"(x));
  }
  benchmark::DoNotOptimize(x);
  state.counters["cycles"] = static_cast<double>(kRounds);
}

// As large as the weights that gates read, a share of each cache, and far beyond all caches.
constexpr int64_t kBytes[] = {1 << 14, 1 << 18, 3 << 17, 1 << 20, 1 << 22, 1 << 25, 1 << 28};

void Prepare() {
  benchmark::RegisterBenchmark("Int8Mac", Int8Mac);
  benchmark::RegisterBenchmark("F32Fma", F32Fma);
  benchmark::RegisterBenchmark("Cycles", Cycles);
  for (const int64_t bytes : kBytes) {
    benchmark::RegisterBenchmark("Read", Read)->ArgName("bytes")->Arg(bytes);
  }
}

}  // namespace
}  // namespace infeng

int main(int argc, char** argv) { return infeng::bench::Main(argc, argv, infeng::Prepare); }
