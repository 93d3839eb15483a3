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

struct FlagField {
  const char* key;
  bool ModelConfig::*field;
};

constexpr FlagField kFlags[] = {
    {"attention_bias", &ModelConfig::attention_bias},
    {"attention_output_bias", &ModelConfig::attention_output_bias},
    {"mlp_bias", &ModelConfig::mlp_bias},
    {"qk_norm", &ModelConfig::qk_norm},
    {"post_norms", &ModelConfig::post_norms},
};

struct NumberField {
  const char* key;
  double ModelConfig::*field;
  bool or_zero;
};

constexpr NumberField kNumbers[] = {
    {"embedding_multiplier", &ModelConfig::embedding_multiplier, false},
    {"query_pre_attn_scalar", &ModelConfig::query_pre_attn_scalar, false},
    {"attn_logit_softcapping", &ModelConfig::attn_logit_softcapping, true},
    {"final_logit_softcapping", &ModelConfig::final_logit_softcapping, true},
    {"rope_attention_factor", &ModelConfig::rope_attention_factor, false},
    {"rope_local_base_freq", &ModelConfig::rope_local_base_freq, true},
};

// The values of a list of `count`.
StatusOr<const json*> List(const JsonFields& fields, const char* key, size_t count) {
  INFENG_ASSIGN_OR_RETURN(const json* list, fields.Array(key));
  if (list->size() != count) {
    return Unexpected(fields.Where(key), "an array of " + std::to_string(count), *list);
  }
  return list;
}

Status ReadRopes(const JsonFields& fields, ModelConfig* c) {
  INFENG_ASSIGN_OR_RETURN(const json* factors, fields.Array("rope_factors"));
  if (!factors->empty()) {
    INFENG_ASSIGN_OR_RETURN(factors, List(fields, "rope_factors", c->head_dim / 2));
  }
  for (const json& value : *factors) {
    INFENG_ASSIGN_OR_RETURN(const double factor,
                            AsPositiveNumber(value, fields.Where("rope_factors")));
    if (factor < 1.0 / 1024) {
      return Unexpected(fields.Where("rope_factors"), "at least 1/1024", value);
    }
    c->rope_factors.push_back(factor);
  }
  INFENG_ASSIGN_OR_RETURN(const json* ropes, List(fields, "layer_ropes", c->num_hidden_layers));
  for (const json& value : *ropes) {
    if (value == "none") {
      c->layer_ropes.push_back(LayerRope::kNone);
    } else if (value == "global") {
      c->layer_ropes.push_back(LayerRope::kGlobal);
    } else if (value == "local" && c->rope_local_base_freq > 0) {
      c->layer_ropes.push_back(LayerRope::kLocal);
    } else {
      return Unexpected(fields.Where("layer_ropes"),
                        "\"none\", \"global\", or \"local\" with a rope_local_base_freq", value);
    }
  }
  return {};
}

// All are required and no other key is allowed: a reader that does not know a feature must not
// compute without it.
Status ReadFeatures(const JsonFields& fields, ModelConfig* c) {
  INFENG_RETURN_IF_ERROR(fields.Only({"hidden_size",
                                      "intermediate_size",
                                      "num_hidden_layers",
                                      "num_attention_heads",
                                      "num_key_value_heads",
                                      "head_dim",
                                      "vocab_size",
                                      "max_position_embeddings",
                                      "rms_norm_eps",
                                      "rope_theta",
                                      "tie_word_embeddings",
                                      "bos_token_id",
                                      "eos_token_ids",
                                      "hidden_act",
                                      "attention_bias",
                                      "attention_output_bias",
                                      "mlp_bias",
                                      "qk_norm",
                                      "post_norms",
                                      "embedding_multiplier",
                                      "query_pre_attn_scalar",
                                      "attn_logit_softcapping",
                                      "final_logit_softcapping",
                                      "rope_attention_factor",
                                      "rope_local_base_freq",
                                      "rope_factors",
                                      "layer_ropes",
                                      "layer_windows"}));
  INFENG_ASSIGN_OR_RETURN(const std::string act, fields.String("hidden_act"));
  if (act != "silu" && act != "gelu_pytorch_tanh") {
    return Unexpected(fields.Where("hidden_act"), "\"silu\" or \"gelu_pytorch_tanh\"", act);
  }
  c->hidden_act = act == "silu" ? HiddenAct::kSilu : HiddenAct::kGeluTanh;
  for (const FlagField& flag : kFlags) {
    INFENG_ASSIGN_OR_RETURN(c->*flag.field, fields.Bool(flag.key));
  }
  for (const NumberField& number : kNumbers) {
    INFENG_ASSIGN_OR_RETURN(const json* value, fields.Get(number.key));
    if (number.or_zero && *value == 0) continue;
    INFENG_ASSIGN_OR_RETURN(c->*number.field, fields.PositiveNumber(number.key));
  }
  INFENG_RETURN_IF_ERROR(ReadRopes(fields, c));
  INFENG_ASSIGN_OR_RETURN(const json* windows, List(fields, "layer_windows", c->num_hidden_layers));
  for (const json& value : *windows) {
    INFENG_ASSIGN_OR_RETURN(const uint64_t window,
                            AsInteger(value, 0, kMaxSize, fields.Where("layer_windows")));
    c->layer_windows.push_back(static_cast<uint32_t>(window));
  }
  return {};
}

}  // namespace

StatusOr<ModelConfig> ReadConfig(const JsonFields& fields, bool features) {
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
  if (features) INFENG_RETURN_IF_ERROR(ReadFeatures(fields, &config));
  return config;
}

}  // namespace infeng
