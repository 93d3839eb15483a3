#include "cc/engine/fixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <utility>

#include "cc/model/half.h"

namespace infeng {

ModelConfig OddConfig() {
  ModelConfig config = TinyConfig();
  config.hidden_size = 40;
  config.intermediate_size = 72;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 2;
  config.head_dim = 10;
  config.vocab_size = 101;
  config.tie_word_embeddings = false;
  return config;
}

std::string TinyModel(const ModelConfig& config, bool int8, bool int4) {
  InfqOptions options;
  options.config = config;
  options.int8 = int8;
  options.int4 = int4;
  return WriteTestFile(BuildInfq(options));
}

std::unique_ptr<Engine> OpenTiny(const std::string& path, const EngineOptions& options) {
  auto engine = Engine::Open(path, options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return engine.ok() ? std::move(engine).value() : nullptr;
}

std::vector<uint32_t> RandomIds(size_t count, size_t vocab_size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint32_t> ids(count);
  for (uint32_t& id : ids) id = static_cast<uint32_t>(random() % vocab_size);
  return ids;
}

RandomAdapter::RandomAdapter(const ModelConfig& config, const std::vector<std::string>& modules,
                             size_t rank, uint32_t seed) {
  std::mt19937 random(seed);
  const auto matrix = [&](size_t rows, size_t columns) {
    std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(columns)));
    std::vector<float> values(rows * columns);
    for (float& value : values) value = HalfToFloat(FloatToHalf(normal(random)));
    matrices.push_back(std::move(values));
  };
  for (size_t layer = 0; layer < static_cast<size_t>(config.num_hidden_layers); ++layer) {
    for (const std::string& module : modules) {
      const ModuleShape shape = ShapeOf(config, *ParseModule(module));
      matrix(rank, shape.k);
      matrix(shape.n, rank);
      targets.push_back({layer, module, rank, 0.5f, {}, {}});
    }
  }
  for (size_t i = 0; i < targets.size(); ++i) {
    targets[i].a = matrices[2 * i];
    targets[i].b = matrices[2 * i + 1];
  }
}

}  // namespace infeng
