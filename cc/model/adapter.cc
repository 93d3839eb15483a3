#include "cc/model/adapter.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cc/model/half.h"

namespace infeng {
namespace {

constexpr std::array<const char*, kModules> kNames = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                      "gate_proj", "up_proj", "down_proj"};

// The power of two by which to divide a matrix so that its greatest value is in 1...2.
int Exponent(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest == 0 ? 0 : std::ilogb(largest);
}

// a [rank][k] to [rank / 8][kp / 2][8][2].
AlignedBuffer<uint16_t> PackA(std::span<const float> a, size_t rank, size_t k, int exponent) {
  const size_t kp = RoundUp(k, 16);
  AlignedBuffer<uint16_t> packed(RoundUp(rank, 8) * kp);
  for (size_t r = 0; r < rank; ++r) {
    for (size_t i = 0; i < k; ++i) {
      const size_t at = r / 8 * kp * 8 + i / 2 * 16 + r % 8 * 2 + i % 2;
      packed[at] = FloatToHalf(std::ldexp(a[r * k + i], -exponent));
    }
  }
  return packed;
}

// b [n][rank] to [n / 16][rank][16].
AlignedBuffer<uint16_t> PackB(std::span<const float> b, size_t n, size_t rank, int exponent) {
  AlignedBuffer<uint16_t> packed(RoundUp(n, 16) * rank);
  for (size_t i = 0; i < n; ++i) {
    for (size_t r = 0; r < rank; ++r) {
      packed[(i / 16 * rank + r) * 16 + i % 16] =
          FloatToHalf(std::ldexp(b[i * rank + r], -exponent));
    }
  }
  return packed;
}

Status CheckMatrix(const std::string& where, const char* name, std::span<const float> values,
                   size_t rows, size_t columns) {
  if (values.size() != rows * columns) {
    return InvalidArgument(where + ": " + name + " has " + std::to_string(values.size()) +
                           " values where the model and the rank need " + std::to_string(rows) +
                           " x " + std::to_string(columns));
  }
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
    return InvalidArgument(where + ": " + name + " has a value that is not finite");
  }
  return Status();
}

}  // namespace

const char* ModuleName(Module module) { return kNames[static_cast<size_t>(module)]; }

StatusOr<Module> ParseModule(std::string_view name) {
  for (size_t i = 0; i < kModules; ++i) {
    if (name == kNames[i]) return static_cast<Module>(i);
  }
  return InvalidArgument("no module is called '" + std::string(name) +
                         "' (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj)");
}

ModuleShape ShapeOf(const ModelConfig& config, Module module) {
  const auto hidden = static_cast<size_t>(config.hidden_size);
  const auto q = size_t{config.num_attention_heads} * config.head_dim;
  const auto kv = size_t{config.num_key_value_heads} * config.head_dim;
  const auto inner = static_cast<size_t>(config.intermediate_size);
  switch (module) {
    case Module::kQ:
      return {q, hidden};
    case Module::kK:
    case Module::kV:
      return {kv, hidden};
    case Module::kO:
      return {hidden, q};
    case Module::kGate:
    case Module::kUp:
      return {inner, hidden};
    case Module::kDown:
      return {hidden, inner};
  }
  return {0, 0};
}

StatusOr<std::shared_ptr<const Adapter>> Adapter::Create(const ModelConfig& config,
                                                         const std::string& name,
                                                         std::span<const AdapterTarget> targets) {
  auto adapter = std::make_shared<Adapter>();
  adapter->name_ = name;
  adapter->layers_.resize(static_cast<size_t>(config.num_hidden_layers));
  if (targets.empty()) return InvalidArgument("adapter '" + name + "' has no target");
  for (const AdapterTarget& target : targets) {
    const std::string where =
        "adapter '" + name + "', layer " + std::to_string(target.layer) + ", " + target.module;
    const StatusOr<Module> module = ParseModule(target.module);
    if (!module.ok()) {
      return InvalidArgument("adapter '" + name + "': " + module.status().message());
    }
    if (target.layer >= adapter->layers_.size()) {
      return InvalidArgument(where + ": the model has layers 0 to " +
                             std::to_string(adapter->layers_.size() - 1));
    }
    if (target.rank == 0 || target.rank > kMaxRank) {
      return InvalidArgument(where + ": rank " + std::to_string(target.rank) +
                             " is not within 1.." + std::to_string(kMaxRank));
    }
    if (!std::isfinite(target.scale)) return InvalidArgument(where + ": scale is not finite");
    const ModuleShape shape = ShapeOf(config, *module);
    INFENG_RETURN_IF_ERROR(CheckMatrix(where, "A", target.a, target.rank, shape.k));
    INFENG_RETURN_IF_ERROR(CheckMatrix(where, "B", target.b, shape.n, target.rank));
    auto& update = adapter->layers_[target.layer][static_cast<size_t>(*module)];
    if (update != nullptr) return InvalidArgument(where + ": the target occurs twice");
    const int a_exponent = Exponent(target.a);
    const int b_exponent = Exponent(target.b);
    const float scale = std::ldexp(target.scale, a_exponent + b_exponent);
    // An infinite one would make NaN of each zero.
    if (!std::isfinite(scale)) {
      return InvalidArgument(where + ": scale, A and B multiply to more than a float can hold");
    }
    update = std::make_unique<LowRank>(LowRank{target.rank, shape.n, RoundUp(shape.k, 16), scale,
                                               PackA(target.a, target.rank, shape.k, a_exponent),
                                               PackB(target.b, shape.n, target.rank, b_exponent)});
  }
  return std::shared_ptr<const Adapter>(std::move(adapter));
}

}  // namespace infeng
