#ifndef INFENG_CC_MODEL_ADAPTER_H_
#define INFENG_CC_MODEL_ADAPTER_H_

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cc/base/status.h"
#include "cc/format/model_file.h"
#include "cc/model/linear.h"

namespace infeng {

enum class Module { kQ, kK, kV, kO, kGate, kUp, kDown };
constexpr size_t kModules = 7;
constexpr size_t kMaxRank = 256;

// "q_proj", ..., "down_proj".
const char* ModuleName(Module module);
StatusOr<Module> ParseModule(std::string_view name);

struct ModuleShape {
  size_t n, k;  // outputs, inputs
};
ModuleShape ShapeOf(const ModelConfig& config, Module module);

// One low-rank update as it comes from outside: y += scale * B (A x).
struct AdapterTarget {
  size_t layer;
  std::string module;        // "q_proj", ...
  size_t rank;               // 1..kMaxRank
  float scale;               // alpha / rank, or alpha / sqrt(rank) (rsLoRA)
  std::span<const float> a;  // [rank][k]
  std::span<const float> b;  // [n][rank]
};

// The low-rank updates of one adapter, in binary16. Each matrix is first multiplied by the power of
// two that brings its greatest value to 1...2, so that small ones lose nothing; the update's scale
// takes it back. Immutable.
class Adapter {
 public:
  // Fails, naming the target, if a module, layer, rank or size is not the model's, if a value
  // or the product of scale, A and B is not finite, or if a target occurs twice.
  static StatusOr<std::shared_ptr<const Adapter>> Create(const ModelConfig& config,
                                                         const std::string& name,
                                                         std::span<const AdapterTarget> targets);

  const std::string& name() const { return name_; }

  // The update of that target, or null.
  const LowRank* Find(size_t layer, Module module) const {
    return layers_[layer][static_cast<size_t>(module)].get();
  }

 private:
  std::string name_;
  std::vector<std::array<std::unique_ptr<LowRank>, kModules>> layers_;
};

}  // namespace infeng

#endif  // INFENG_CC_MODEL_ADAPTER_H_
