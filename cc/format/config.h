#ifndef INFENG_CC_FORMAT_CONFIG_H_
#define INFENG_CC_FORMAT_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace infeng {

// What no model exceeds: beyond it a file is damaged. The products of two sizes stay far below
// 2^64.
inline constexpr uint32_t kMaxSize = 1 << 24;
inline constexpr uint32_t kMaxLayers = 1 << 12;

enum class HiddenAct { kSilu, kGeluTanh };
enum class LayerRope { kNone, kGlobal, kLocal };

// Hyper-parameters by the names of Hugging Face's config.json. Those of a ModelFile are checked:
// all sizes, and num_attention_heads * head_dim, are from 1 to kMaxSize; head_dim is even;
// num_key_value_heads divides num_attention_heads; ids are in the vocabulary; the floats are
// positive and finite but where 0 stands for none; lists have the length that they are given.
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

  // What a family has beyond the first Llama (docs/models.md); the defaults are without it.
  HiddenAct hidden_act = HiddenAct::kSilu;
  bool attention_bias = false;         // of q, k and v
  bool attention_output_bias = false;  // of o
  bool mlp_bias = false;
  bool qk_norm = false;     // RMSNorm of each head of q and k, before RoPE
  bool post_norms = false;  // RMSNorm of what attention and MLP add, too
  double embedding_multiplier = 1;
  double query_pre_attn_scalar = 0;    // attention divides by its square root; 0: head_dim
  double attn_logit_softcapping = 0;   // 0: none
  double final_logit_softcapping = 0;  // 0: none
  // RoPE's angle at position p is p * theta^(-2 i / head_dim) / factor[i]; cosine and sine are
  // multiplied by the attention factor. [head_dim / 2], empty: all 1.
  std::vector<double> rope_factors;
  double rope_attention_factor = 1;
  double rope_local_base_freq = 0;      // theta of layers with the local RoPE, which is not scaled
  std::vector<uint32_t> layer_windows;  // positions that a layer sees, 0: all; empty: all layers do
  std::vector<LayerRope> layer_ropes;   // empty: all global

  size_t LayerWindow(size_t layer) const {
    return layer_windows.empty() ? 0 : layer_windows[layer];
  }
  LayerRope RopeOf(size_t layer) const {
    return layer_ropes.empty() ? LayerRope::kGlobal : layer_ropes[layer];
  }
};

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_CONFIG_H_
