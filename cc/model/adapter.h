#ifndef INFENG_CC_MODEL_ADAPTER_H_
#define INFENG_CC_MODEL_ADAPTER_H_

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/base/status.h"
#include "cc/format/model_file.h"
#include "cc/kernels/gemm/gemm.h"

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

// The low-rank updates of one adapter, copied and padded for the kernels. Immutable.
class Adapter {
 public:
  // Fails, naming the target, if a module, layer, rank or size is not the model's, if a value is
  // not finite, or if a target occurs twice.
  static StatusOr<std::shared_ptr<const Adapter>> Create(const ModelConfig& config,
                                                         const std::string& name,
                                                         std::span<const AdapterTarget> targets);

  const std::string& name() const { return name_; }

  // y[row] += B (scale * (A x[row])) for each row, if the adapter has that target. Sums are
  // canonical; x is zero from k to k rounded up to 16.
  void Apply(const GemmTier& kernels, size_t layer, Module module, const float* x, size_t x_stride,
             size_t rows, float* y, size_t y_stride) const;

 private:
  struct Update {
    size_t rank, padded_rank, n, padded_k;
    float scale;
    AlignedBuffer<float> a;  // [rank][padded_k]
    AlignedBuffer<float> b;  // [n][padded_rank]
  };

  std::string name_;
  std::vector<std::array<std::unique_ptr<Update>, kModules>> layers_;
};

}  // namespace infeng

#endif  // INFENG_CC_MODEL_ADAPTER_H_
