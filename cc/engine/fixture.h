#ifndef INFENG_CC_ENGINE_FIXTURE_H_
#define INFENG_CC_ENGINE_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cc/engine/engine.h"
#include "cc/format/testing/infq_builder.h"

namespace infeng {

// A tiny model with sizes that are no multiples of 16 or of a group, and its own head.
ModelConfig OddConfig();

// Path of a tiny model's file; the same arguments give the same file.
std::string TinyModel(const ModelConfig& config, bool int8, bool int4 = false);

// An engine on it; fails the test if it does not open.
std::unique_ptr<Engine> OpenTiny(const std::string& path, const EngineOptions& options);

// Random ids below vocab_size.
std::vector<uint32_t> RandomIds(size_t count, size_t vocab_size, uint32_t seed);

// A random adapter that changes logits visibly, of values that binary16 holds exactly; keeps the
// matrices alive.
struct RandomAdapter {
  std::vector<std::vector<float>> matrices;
  std::vector<AdapterTarget> targets;

  // modules: of every layer.
  RandomAdapter(const ModelConfig& config, const std::vector<std::string>& modules, size_t rank,
                uint32_t seed);
};

}  // namespace infeng

#endif  // INFENG_CC_ENGINE_FIXTURE_H_
