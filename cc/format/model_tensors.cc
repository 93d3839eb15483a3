#include "cc/format/model_tensors.h"

namespace infeng {

std::map<std::string, std::vector<uint64_t>, std::less<>> ModelTensors(const ModelConfig& c) {
  const uint64_t hidden = c.hidden_size;
  const uint64_t inner = c.intermediate_size;
  const uint64_t q = uint64_t{c.num_attention_heads} * c.head_dim;
  const uint64_t kv = uint64_t{c.num_key_value_heads} * c.head_dim;

  std::map<std::string, std::vector<uint64_t>, std::less<>> shapes;
  shapes["model.embed_tokens.weight"] = {c.vocab_size, hidden};
  for (uint32_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    const std::string p = "model.layers." + std::to_string(layer) + ".";
    shapes[p + "input_layernorm.weight"] = {hidden};
    shapes[p + "self_attn.q_proj.weight"] = {q, hidden};
    shapes[p + "self_attn.k_proj.weight"] = {kv, hidden};
    shapes[p + "self_attn.v_proj.weight"] = {kv, hidden};
    shapes[p + "self_attn.o_proj.weight"] = {hidden, q};
    shapes[p + "post_attention_layernorm.weight"] = {hidden};
    shapes[p + "mlp.gate_proj.weight"] = {inner, hidden};
    shapes[p + "mlp.up_proj.weight"] = {inner, hidden};
    shapes[p + "mlp.down_proj.weight"] = {hidden, inner};
    if (c.attention_bias) {
      shapes[p + "self_attn.q_proj.bias"] = {q};
      shapes[p + "self_attn.k_proj.bias"] = {kv};
      shapes[p + "self_attn.v_proj.bias"] = {kv};
    }
    if (c.attention_output_bias) shapes[p + "self_attn.o_proj.bias"] = {hidden};
    if (c.mlp_bias) {
      shapes[p + "mlp.gate_proj.bias"] = {inner};
      shapes[p + "mlp.up_proj.bias"] = {inner};
      shapes[p + "mlp.down_proj.bias"] = {hidden};
    }
    if (c.qk_norm) {
      shapes[p + "self_attn.q_norm.weight"] = {c.head_dim};
      shapes[p + "self_attn.k_norm.weight"] = {c.head_dim};
    }
    if (c.post_norms) {
      shapes[p + "pre_feedforward_layernorm.weight"] = {hidden};
      shapes[p + "post_feedforward_layernorm.weight"] = {hidden};
    }
  }
  shapes["model.norm.weight"] = {hidden};
  if (!c.tie_word_embeddings) shapes["lm_head.weight"] = {c.vocab_size, hidden};
  return shapes;
}

}  // namespace infeng
