// Fuzz target of Adapter::Create, which takes what a reader of adapter files found: any targets are
// refused in a message, or are updates whose numbers are all finite.
//
// An input is a row of targets: layer, module, rank (two bytes), scale (four bytes), how
// many values A and B have too many or too few (a signed byte each), and eight values (four bytes
// each) that A and B repeat.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cc/model/adapter.h"

namespace infeng {
namespace {

constexpr size_t kMostTargets = 6;
constexpr size_t kValues = 8;

ModelConfig Config() {
  ModelConfig config;
  config.hidden_size = 8;
  config.intermediate_size = 18;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 6;
  config.vocab_size = 4;
  return config;
}

class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  // Zero where the input ends.
  template <class T>
  T Next() {
    T value{};
    if (sizeof(T) > size_) {
      size_ = 0;
      return value;
    }
    std::memcpy(&value, data_, sizeof(T));
    data_ += sizeof(T);
    size_ -= sizeof(T);
    return value;
  }
  bool AtEnd() const { return size_ == 0; }

 private:
  const uint8_t* data_;
  size_t size_;
};

struct Target {
  size_t layer;
  std::string module;
  size_t rank;
  float scale;
  std::vector<float> a, b;
};

Target Read(const ModelConfig& config, Reader* reader) {
  Target target;
  const auto layer = reader->Next<uint8_t>();
  target.layer = layer == UINT8_MAX ? SIZE_MAX : layer;
  const size_t module = reader->Next<uint8_t>() % (kModules + 1);
  target.module = module < kModules ? ModuleName(static_cast<Module>(module)) : "lm_head";
  target.rank = reader->Next<uint16_t>();
  target.scale = reader->Next<float>();
  const auto more_a = reader->Next<int8_t>();
  const auto more_b = reader->Next<int8_t>();
  std::array<float, kValues> values{};
  for (float& value : values) value = reader->Next<float>();

  const ModuleShape shape = ShapeOf(config, static_cast<Module>(module < kModules ? module : 0));
  // A rank that is refused says nothing about memory.
  const size_t rank = target.rank <= kMaxRank + 1 ? target.rank : 1;
  const auto count = [](size_t right, int more) {
    return static_cast<size_t>(std::max<int64_t>(0, static_cast<int64_t>(right) + more));
  };
  target.a.resize(count(rank * shape.k, more_a));
  target.b.resize(count(shape.n * rank, more_b));
  for (size_t i = 0; i < target.a.size(); ++i) target.a[i] = values[i % (kValues / 2)];
  for (size_t i = 0; i < target.b.size(); ++i) {
    target.b[i] = values[kValues / 2 + i % (kValues / 2)];
  }
  return target;
}

bool Finite(const AlignedBuffer<uint16_t>& halves) {
  for (size_t i = 0; i < halves.size(); ++i) {
    if ((halves[i] & 0x7c00) == 0x7c00) return false;
  }
  return true;
}

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

}  // namespace
}  // namespace infeng

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using infeng::Require;
  static const infeng::ModelConfig config = infeng::Config();
  infeng::Reader reader(data, size);
  std::vector<infeng::Target> targets;
  while (!reader.AtEnd() && targets.size() < infeng::kMostTargets) {
    targets.push_back(infeng::Read(config, &reader));
  }
  std::vector<infeng::AdapterTarget> views;
  views.reserve(targets.size());
  for (const infeng::Target& t : targets) {
    views.push_back({t.layer, t.module, t.rank, t.scale, t.a, t.b});
  }
  const auto adapter = infeng::Adapter::Create(config, "fuzzed", views);
  if (!adapter.ok()) {
    Require(adapter.status().message().starts_with("adapter 'fuzzed'"), "no name in the message");
    return 0;
  }
  for (const infeng::Target& t : targets) {
    const infeng::LowRank* update = (*adapter)->Find(t.layer, *infeng::ParseModule(t.module));
    Require(update != nullptr && update->rank == t.rank, "an accepted target is not there");
    Require(std::isfinite(update->scale), "the scale of an accepted target is not finite");
    Require(infeng::Finite(update->a) && infeng::Finite(update->b), "a weight is not finite");
  }
  return 0;
}
