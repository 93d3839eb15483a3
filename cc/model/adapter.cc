#include "cc/model/adapter.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace infeng {
namespace {

constexpr std::array<const char*, kModules> kNames = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                      "gate_proj", "up_proj", "down_proj"};

size_t Padded(size_t n) { return (n + 15) / 16 * 16; }

AlignedBuffer<float> PadRows(std::span<const float> values, size_t columns) {
  const size_t stride = Padded(columns);
  const size_t rows = values.size() / columns;
  AlignedBuffer<float> padded(rows * stride);
  for (size_t row = 0; row < rows; ++row) {
    std::copy_n(values.data() + row * columns, columns, padded.data() + row * stride);
  }
  return padded;
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
  const auto q = static_cast<size_t>(config.num_attention_heads * config.head_dim);
  const auto kv = static_cast<size_t>(config.num_key_value_heads * config.head_dim);
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
    update = std::make_unique<Update>(
        Update{target.rank, Padded(target.rank), shape.n, Padded(shape.k), target.scale,
               PadRows(target.a, shape.k), PadRows(target.b, target.rank)});
  }
  return std::shared_ptr<const Adapter>(std::move(adapter));
}

void Adapter::Apply(const GemmTier& kernels, size_t layer, Module module, const float* x,
                    size_t x_stride, size_t rows, float* y, size_t y_stride) const {
  const Update* update = layers_[layer][static_cast<size_t>(module)].get();
  if (update == nullptr) return;
  constexpr size_t kTile = 8;
  alignas(64) float low[kTile * kMaxRank] = {};
  const size_t low_stride = update->padded_rank;
  for (size_t row = 0; row < rows; row += kTile) {
    const size_t tile = std::min(kTile, rows - row);
    kernels.f32_linear({update->a.data(), update->padded_k, x + row * x_stride, x_stride, tile, 0,
                        update->rank, low, low_stride, false});
    for (size_t i = 0; i < tile * low_stride; ++i) low[i] *= update->scale;
    kernels.f32_linear({update->b.data(), update->padded_rank, low, low_stride, tile, 0, update->n,
                        y + row * y_stride, y_stride, true});
  }
}

}  // namespace infeng
