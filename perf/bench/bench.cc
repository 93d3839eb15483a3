#include "perf/bench/bench.h"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cc/cpu/cores.h"
#include "perf/bench/planted_slowdown.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define INFENG_SANITIZED 1
#endif
#endif

namespace infeng::bench {
namespace {

using Json = nlohmann::ordered_json;

Flags flags;

constexpr const char* Mode() {
#if defined(INFENG_SANITIZED)
  return "sanitizer";
#elif !defined(__OPTIMIZE__)
  return "fastbuild or dbg";
#elif !defined(NDEBUG)
  return "with assertions";
#else
  return "opt";
#endif
}

// What a run's _meta takes from the binary itself: no one else knows how it was compiled.
Json Describe() {
  const CpuFeatures cpu = DetectCpu();
  const CoreCount cores = VisibleCores();
  const Tier best = BestUsableTier(cpu);
  Json tiers = Json::object();
  for (const Tier tier : kTiers) {
    std::string why_not;
    const bool usable = TierCompiled(tier) && TierUsable(tier, cpu, &why_not);
    if (!TierCompiled(tier)) why_not = "not compiled in";
    tiers[TierName(tier)] = usable ? "" : why_not;
  }
  return {
      {"hardware",
       {{"key", HardwareKey(cpu, best, cores.physical)},
        {"model_name", cpu.brand},
        {"vendor", cpu.vendor},
        {"family", cpu.family},
        {"model", cpu.model},
        {"cores", cores.physical},
        {"threads", cores.logical},
        {"l1d_bytes", cpu.l1d_bytes},
        {"l2_bytes", cpu.l2_bytes},
        {"l3_bytes", cpu.l3_bytes},
        {"flags", FeatureNames(cpu)},
        {"tier", TierName(best)},
        {"tiers", tiers}}},
      {"build",
       {{"compiler", "clang " __clang_version__},
        {"compilation_mode", Mode()},
        {"optimized", std::string_view(Mode()) == "opt"},
        {"planted_slowdown_pct", kPlantedSlowdownPercent}}},
      {"tier", TierName(flags.tier)},
  };
}

// Keeps the run instead of printing it.
class Keeper : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type == Run::RT_Iteration) kept.push_back(run);
    }
  }
  std::vector<Run> kept;
};

std::string Literally(std::string_view name) {
  std::string pattern = "^";
  for (const char c : name) {
    if (std::string_view(".[]{}()*+?^$|\\").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern + "$";
}

Json Slice(const std::string& iterations, const std::string& name) {
  // Only google-benchmark's own flag says how many iterations there are, so it is parsed anew.
  std::string program = "bench";
  std::string min_time = "--benchmark_min_time=" + iterations + "x";
  char* argv[] = {program.data(), min_time.data(), nullptr};
  int argc = 2;
  benchmark::Initialize(&argc, argv);
  Keeper keeper;
  benchmark::RunSpecifiedBenchmarks(&keeper, Literally(name));
  if (keeper.kept.size() != 1) return {{"error", "no benchmark is called " + name}};
  const auto& run = keeper.kept.front();
  if (run.skipped != benchmark::internal::NotSkipped) {
    return {{"error", name + ": " + run.report_label + run.skip_message}};
  }
  Json counts = Json::object();
  for (const auto& [key, counter] : run.counters) {
    if (counter.flags == benchmark::Counter::kDefaults) counts[key] = counter.value;
  }
  return {{"iterations", run.iterations},
          {"real_s", run.real_accumulated_time},
          {"cpu_s", run.cpu_accumulated_time},
          {"counts", counts}};
}

// A line for the driver, which waits for it.
void Say(const Json& what) { std::cout << what.dump() << '\n' << std::flush; }

int Serve() {
  Say(Describe());
  std::string line;
  while (std::getline(std::cin, line)) {
    const size_t space = line.find(' ');
    const std::string iterations = line.substr(0, space);
    if (space == std::string::npos || iterations.empty() ||
        iterations.find_first_not_of("0123456789") != std::string::npos || iterations[0] == '0' ||
        iterations.size() > 15) {
      Say({{"error", "expected ITERATIONS NAME, found '" + line + "'"}});
      continue;
    }
    Say(Slice(iterations, line.substr(space + 1)));
  }
  return 0;
}

// Starts the program anew with a malloc that asks for huge pages. With pages of 4 KiB, which cache
// sets a buffer shares is drawn by lot at each start, and a kernel whose weights nearly fill the L2
// is up to a tenth faster or slower for it.
void UseHugePages(char** argv) {
  constexpr const char* kName = "GLIBC_TUNABLES";
  if (std::getenv(kName) == nullptr) {
    // Buffers of up to 32 MiB, the most that malloc allows, come from one heap that grows by 64
    // MiB.
    setenv(kName,
           "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:"
           "glibc.malloc.top_pad=67108864",
           1);
    execv("/proc/self/exe", argv);
  }
  // The heap's beginning, up to the first huge page, is left to small things.
  static const std::unique_ptr<char[]> unused(new char[size_t{2} << 20]);
  benchmark::DoNotOptimize(unused.get());
}

bool ParsePositive(std::string_view text, int* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value > 0;
}

}  // namespace

const Flags& GetFlags() { return flags; }

bool Planted::Due() {
  // Over all benchmarks and slices, so that slices of a single iteration add up too.
  static int percent = 0;
  if (again_) {
    again_ = false;
    return false;
  }
  percent += kPlantedSlowdownPercent;
  again_ = percent >= 100;
  if (again_) percent -= 100;
  return again_;
}

int Main(int argc, char** argv, void (*prepare)(), const std::vector<Option>& options) {
  UseHugePages(argv);
  std::string force_path = "auto";
  bool slices = false;
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? "" : argument.substr(equals + 1);
    const auto option = std::find_if(options.begin(), options.end(),
                                     [name](const Option& o) { return o.name == name; });
    if (option != options.end()) {
      if (equals == std::string_view::npos && i + 1 == argc) {
        std::fprintf(stderr, "%s: expected a value\n", argv[i]);
        return 2;
      }
      *option->value = equals == std::string_view::npos ? argv[++i] : std::string(value);
      continue;
    }
    int* number = nullptr;
    if (name == "--threads") number = &flags.threads;
    if (name == "--tile_tokens") number = &flags.tile_tokens;
    if (number != nullptr) {
      if (!ParsePositive(value, number)) {
        std::fprintf(stderr, "%s: expected a positive number, found '%s'\n",
                     std::string(name).c_str(), std::string(value).c_str());
        return 2;
      }
    } else if (name == "--force_path") {
      force_path = value;
    } else if (argument == "--slices") {
      slices = true;
    } else {
      rest.push_back(argv[i]);
    }
  }
  const auto tier = ChooseTier(force_path, DetectCpu());
  if (!tier.ok()) {
    std::fprintf(stderr, "bench: %s\n", tier.status().message().c_str());
    return 2;
  }
  flags.tier = *tier;
  if (prepare != nullptr) prepare();
  const Json description = Describe();
  benchmark::AddCustomContext("tier", TierName(flags.tier));
  benchmark::AddCustomContext("hardware_key", description["hardware"]["key"].get<std::string>());
  benchmark::AddCustomContext("build", description["build"].dump());
  int count = static_cast<int>(rest.size());
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 2;
  if (slices) return Serve();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace infeng::bench
