// What the tokenizer costs on a text, document by document or in batches by several threads.
//   bazel run //perf/sweeps/tokenizer:bench_tokenizer -- --model tokenizer.json --input_file
//   text.txt
//       [--threads=N] [--prefix_k=BYTES --prefix_cache_entries=N]

#include "perf/bench/bench.h"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "rust/ffi/infeng_tokenizer.h"

namespace infeng {
namespace {

bench::Planted planted;

// Flags of this benchmark alone; the others are bench::Main's.
struct Options {
  std::string model;
  std::string input_file;
  std::string prefix_k = "0";
  std::string prefix_cache_entries = "0";
} options;

[[noreturn]] void Fail(const std::string& message) {
  std::fprintf(stderr, "bench_tokenizer: %s\n", message.c_str());
  std::exit(1);
}

size_t Number(const char* flag, const std::string& text) {
  size_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) {
    Fail(std::string(flag) + ": expected a number, found '" + text + "'");
  }
  return value;
}

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// A tokenizer and the documents of the text: about 4 KB each, cut at line ends.
struct Data {
  Data() : tokenizer(nullptr, infeng_tokenizer_free) {
    char* error = nullptr;
    tokenizer.reset(infeng_tokenizer_from_file(Bytes(options.model), options.model.size(), &error));
    if (!tokenizer) Fail(error);
    infeng_tokenizer_set_prefix_cache(
        tokenizer.get(), Number("--prefix_k", options.prefix_k),
        Number("--prefix_cache_entries", options.prefix_cache_entries));
    std::ifstream file(options.input_file, std::ios::binary);
    if (!file) Fail(options.input_file + ": cannot open");
    std::stringstream buffer;
    buffer << file.rdbuf();
    text = std::move(buffer).str();
    const std::string_view all = text;
    size_t start = 0;
    while (start < all.size()) {
      size_t end = all.find('\n', start + 4096);
      end = end == std::string_view::npos ? all.size() : end + 1;
      const std::string_view part = all.substr(start, end - start);
      inputs.push_back({Bytes(part), part.size(), nullptr, 0});
      start = end;
    }
    if (inputs.empty()) Fail(options.input_file + ": is empty");
  }

  std::unique_ptr<InfengTokenizer, decltype(&infeng_tokenizer_free)> tokenizer;
  std::string text;
  std::vector<InfengInput> inputs;
};

Data& GetData() {
  static Data data;
  return data;
}

// One document a call, each time the next.
void Encode(benchmark::State& state) {
  Data& data = GetData();
  static size_t next = 0;
  size_t bytes = 0;
  size_t tokens = 0;
  for (auto _ : state) {
    const InfengInput& input = data.inputs[next++ % data.inputs.size()];
    do {
      InfengIds ids;
      char* error = nullptr;
      if (!infeng_tokenizer_encode(data.tokenizer.get(), input.text, input.text_len, 0, &ids,
                                   &error)) {
        Fail(error);
      }
      tokens += ids.len;
      infeng_ids_free(ids);
    } while (planted.Due());
    bytes += input.text_len;
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.counters["tokens"] =
      benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
}

// All documents a call, by --threads threads.
void EncodeBatch(benchmark::State& state) {
  Data& data = GetData();
  const auto threads = static_cast<size_t>(bench::GetFlags().threads);
  std::vector<size_t> ends(data.inputs.size());
  for (auto _ : state) {
    do {
      InfengIds ids;
      char* error = nullptr;
      if (!infeng_tokenizer_encode_batch(data.tokenizer.get(), data.inputs.data(),
                                         data.inputs.size(), 0, threads, &ids, ends.data(),
                                         &error)) {
        Fail(error);
      }
      infeng_ids_free(ids);
    } while (planted.Due());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * data.text.size()));
  state.counters["tokens"] = benchmark::Counter(
      static_cast<double>(state.iterations() * ends.back()), benchmark::Counter::kIsRate);
}

// Ids back to text.
void Decode(benchmark::State& state) {
  Data& data = GetData();
  InfengIds ids;
  char* error = nullptr;
  if (!infeng_tokenizer_encode(data.tokenizer.get(), Bytes(data.text), data.text.size(), 0, &ids,
                               &error)) {
    Fail(error);
  }
  for (auto _ : state) {
    InfengText text;
    if (!infeng_tokenizer_decode(data.tokenizer.get(), ids.data, ids.len, false, &text, &error)) {
      Fail(error);
    }
    infeng_text_free(text);
  }
  infeng_ids_free(ids);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * data.text.size()));
}

void Prepare() {
  if (options.model.empty() || options.input_file.empty()) {
    Fail("--model and --input_file are needed");
  }
  // Paths are those of the folder in which `bazel run` was called.
  const char* folder = std::getenv("BUILD_WORKING_DIRECTORY");
  if (folder != nullptr && chdir(folder) != 0) Fail(std::string(folder) + ": cannot enter");
  benchmark::RegisterBenchmark("Encode", Encode);
  benchmark::RegisterBenchmark("EncodeBatch", EncodeBatch)->UseRealTime();
  benchmark::RegisterBenchmark("Decode", Decode);
}

}  // namespace
}  // namespace infeng

int main(int argc, char** argv) {
  using infeng::options;
  return infeng::bench::Main(argc, argv, infeng::Prepare,
                             {{"--model", &options.model},
                              {"--input_file", &options.input_file},
                              {"--prefix_k", &options.prefix_k},
                              {"--prefix_cache_entries", &options.prefix_cache_entries}});
}
