#include "cc/format/config_fields.h"

#include <string>

namespace infeng {
namespace {

using nlohmann::json;

struct SizeField {
  const char* key;
  uint32_t ModelConfig::*field;
  uint32_t most;
};

constexpr SizeField kSizes[] = {
    {"hidden_size", &ModelConfig::hidden_size, kMaxSize},
    {"intermediate_size", &ModelConfig::intermediate_size, kMaxSize},
    {"num_hidden_layers", &ModelConfig::num_hidden_layers, kMaxLayers},
    {"num_attention_heads", &ModelConfig::num_attention_heads, kMaxSize},
    {"num_key_value_heads", &ModelConfig::num_key_value_heads, kMaxSize},
    {"head_dim", &ModelConfig::head_dim, kMaxSize},
    {"vocab_size", &ModelConfig::vocab_size, kMaxSize},
    {"max_position_embeddings", &ModelConfig::max_position_embeddings, kMaxSize},
};

Status CheckHeads(const JsonFields& fields, const ModelConfig& c) {
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    return Unexpected(fields.Where("num_key_value_heads"),
                      "a divisor of the " + std::to_string(c.num_attention_heads) + " heads",
                      c.num_key_value_heads);
  }
  if (c.head_dim % 2 != 0) {
    return Unexpected(fields.Where("head_dim"), "an even number", c.head_dim);
  }
  if (uint64_t{c.num_attention_heads} * c.head_dim > kMaxSize) {
    return Unexpected(fields.Where("head_dim"),
                      "at most " + std::to_string(kMaxSize) + " in all the " +
                          std::to_string(c.num_attention_heads) + " heads",
                      c.head_dim);
  }
  return {};
}

}  // namespace

StatusOr<ModelConfig> ReadConfig(const JsonFields& fields) {
  ModelConfig config;
  for (const SizeField& size : kSizes) {
    INFENG_ASSIGN_OR_RETURN(const uint64_t value, fields.Integer(size.key, 1, size.most));
    config.*size.field = static_cast<uint32_t>(value);
  }
  INFENG_RETURN_IF_ERROR(CheckHeads(fields, config));
  INFENG_ASSIGN_OR_RETURN(config.rms_norm_eps, fields.PositiveNumber("rms_norm_eps"));
  INFENG_ASSIGN_OR_RETURN(config.rope_theta, fields.PositiveNumber("rope_theta"));
  INFENG_ASSIGN_OR_RETURN(config.tie_word_embeddings, fields.Bool("tie_word_embeddings"));

  const uint64_t last_id = config.vocab_size - 1;
  INFENG_ASSIGN_OR_RETURN(const json* bos, fields.Get("bos_token_id"));
  if (!bos->is_null()) {
    INFENG_ASSIGN_OR_RETURN(const uint64_t id,
                            AsInteger(*bos, 0, last_id, fields.Where("bos_token_id")));
    config.bos_token_id = static_cast<int64_t>(id);
  }
  INFENG_ASSIGN_OR_RETURN(const json* eos, fields.Array("eos_token_ids"));
  for (const json& value : *eos) {
    INFENG_ASSIGN_OR_RETURN(const uint64_t id,
                            AsInteger(value, 0, last_id, fields.Where("eos_token_ids")));
    config.eos_token_ids.push_back(static_cast<uint32_t>(id));
  }
  return config;
}

}  // namespace infeng
