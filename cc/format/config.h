#ifndef INFENG_CC_FORMAT_CONFIG_H_
#define INFENG_CC_FORMAT_CONFIG_H_

#include <cstdint>
#include <vector>

namespace infeng {

// What no model exceeds: beyond it a file is damaged. The products of two sizes stay far below
// 2^64.
inline constexpr uint32_t kMaxSize = 1 << 24;
inline constexpr uint32_t kMaxLayers = 1 << 12;

// Hyper-parameters by the names of Hugging Face's config.json. Those of a ModelFile are checked:
// all sizes, and num_attention_heads * head_dim, are from 1 to kMaxSize; head_dim is even;
// num_key_value_heads divides num_attention_heads; ids are in the vocabulary; the floats are
// positive and finite.
struct ModelConfig {
  uint32_t hidden_size = 0;
  uint32_t intermediate_size = 0;
  uint32_t num_hidden_layers = 0;
  uint32_t num_attention_heads = 0;
  uint32_t num_key_value_heads = 0;
  uint32_t head_dim = 0;
  uint32_t vocab_size = 0;
  uint32_t max_position_embeddings = 0;
  double rms_norm_eps = 0;
  double rope_theta = 0;
  bool tie_word_embeddings = false;
  int64_t bos_token_id = -1;  // -1: the model has none
  std::vector<uint32_t> eos_token_ids;
};

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_CONFIG_H_
