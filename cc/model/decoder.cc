#include "cc/model/decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace infeng {

void DecoderModel::Forward(std::span<const TokenRow> rows, float* logits) {
  const size_t m = rows.size();
  Reserve(rows);
  GroupByAdapter(rows);
  float* x = x_.data();
  float* h = h_.data();
  const auto glu = config_.hidden_act == HiddenAct::kSilu ? activation_.swiglu : activation_.geglu;
  Embed(rows, x);

  for (size_t l = 0; l < layers_.size(); ++l) {
    const Layer& w = layers_[l];
    Norm(x, w.input_norm, h, m);
    linear_.Run(h, hidden_, m,
                {Job(w.q, l, Module::kQ, q_.data(), q_size_, false),
                 Job(w.k, l, Module::kK, k_.data(), kv_size_, false),
                 Job(w.v, l, Module::kV, v_.data(), kv_size_, false)});
    if (w.q_norm != nullptr) NormHeads(w, m);
    w.attention->Store(l, *w.rope, q_.data(), q_size_, k_.data(), v_.data(), kv_size_);
    w.attention->Attend(l, attended_.data(), q_size_);
    AddTo(x, attended_.data(), q_size_, m, w.o, l, Module::kO, w.post_attention_norm);

    Norm(x, w.pre_mlp_norm, h, m);
    linear_.Run(h, hidden_, m,
                {Job(w.gate, l, Module::kGate, gate_.data(), inner_, false),
                 Job(w.up, l, Module::kUp, up_.data(), inner_, false)});
    ForEachRow(m, [&](size_t begin, size_t end) {
      glu({gate_.data(), up_.data(), gate_.data(), inner_, begin, end});
    });
    AddTo(x, gate_.data(), inner_, m, w.down, l, Module::kDown, w.post_mlp_norm);
  }
  Head(rows, logits);
}

void DecoderModel::Embed(std::span<const TokenRow> rows, float* x) {
  const auto scale = static_cast<float>(config_.embedding_multiplier);
  for (size_t i = 0; i < rows.size(); ++i) {
    float* row = x + i * hidden_;
    DequantizeRow(*embedding_, rows[i].id, row);
    if (scale == 1.0f) continue;
    for (size_t k = 0; k < hidden_; ++k) row[k] *= scale;
  }
}

LinearJob DecoderModel::Job(const Linear& linear, size_t layer, Module module, float* y,
                            size_t stride, bool accumulate) {
  return {linear.weight, y, stride, accumulate, Loras(layer, module), linear.bias};
}

void DecoderModel::AddTo(float* x, const float* in, size_t in_stride, size_t rows,
                         const Linear& linear, size_t layer, Module module,
                         const float* post_norm) {
  if (post_norm == nullptr) {
    linear_.Run(in, in_stride, rows, {Job(linear, layer, module, x, hidden_, true)});
    return;
  }
  float* h = h_.data();
  linear_.Run(in, in_stride, rows, {Job(linear, layer, module, h, hidden_, false)});
  Norm(h, post_norm, h, rows);
  ForEachRow(rows, [&](size_t begin, size_t end) {
    for (size_t i = begin * hidden_; i < end * hidden_; ++i) x[i] += h[i];
  });
}

void DecoderModel::NormHeads(const Layer& layer, size_t rows) {
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const size_t d = head_dim_;
  ForEachRow(rows, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      float* q = q_.data() + i * q_size_;
      float* k = k_.data() + i * kv_size_;
      norm_.rms_norm({q, d, layer.q_norm, d, eps, q, d, 0, heads_});
      norm_.rms_norm({k, d, layer.k_norm, d, eps, k, d, 0, kv_.kv_heads});
    }
  });
}

void DecoderModel::Head(std::span<const TokenRow> rows, float* logits) {
  size_t count = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].wants_logits) continue;
    std::memcpy(h_.data() + count * hidden_, x_.data() + i * hidden_, hidden_ * sizeof(float));
    ++count;
  }
  if (count == 0) return;
  Norm(h_.data(), final_norm_, h_.data(), count);
  linear_.Run(h_.data(), hidden_, count, {{head_, logits, vocab_size_, false}});
  if (config_.final_logit_softcapping == 0) return;
  const auto cap = static_cast<float>(config_.final_logit_softcapping);
  ForEachRow(count, [&](size_t begin, size_t end) {
    activation_.soft_cap({logits + begin * vocab_size_, (end - begin) * vocab_size_, cap});
  });
}

void DecoderModel::Norm(const float* x, const float* weight, float* y, size_t rows) {
  const auto n = static_cast<size_t>(config_.hidden_size);
  const float eps = static_cast<float>(config_.rms_norm_eps);
  ForEachRow(rows, [&](size_t begin, size_t end) {
    norm_.rms_norm({x, hidden_, weight, n, eps, y, hidden_, begin, end});
  });
}

std::span<const LoraUse> DecoderModel::Loras(size_t layer, Module module) {
  std::vector<LoraUse>& uses = lora_uses_[static_cast<size_t>(module)];
  uses.clear();
  for (const AdapterRows& group : adapter_rows_) {
    const LowRank* update = group.adapter->Find(layer, module);
    if (update != nullptr) {
      uses.push_back({update, row_indices_.data() + group.begin, group.end - group.begin});
    }
  }
  return uses;
}

void DecoderModel::GroupByAdapter(std::span<const TokenRow> rows) {
  adapter_rows_.clear();
  row_indices_.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].adapter != nullptr) row_indices_.push_back(static_cast<uint32_t>(i));
  }
  // Not stable_sort, which allocates.
  std::sort(row_indices_.begin(), row_indices_.end(), [&](uint32_t a, uint32_t b) {
    if (rows[a].adapter != rows[b].adapter) {
      return std::less<>()(rows[a].adapter, rows[b].adapter);
    }
    return a < b;
  });
  for (size_t i = 0; i < row_indices_.size(); ++i) {
    const Adapter* adapter = rows[row_indices_[i]].adapter;
    if (adapter_rows_.empty() || adapter_rows_.back().adapter != adapter) {
      adapter_rows_.push_back({adapter, i, i});
    }
    ++adapter_rows_.back().end;
  }
}

void DecoderModel::ForEachRow(size_t rows, FunctionRef<void(size_t, size_t)> work) {
  constexpr size_t kGrain = 4;  // fewer rows are not worth a second thread
  pool_->ParallelFor(rows, kGrain, work);
}

void DecoderModel::Reserve(std::span<const TokenRow> batch) {
  size_t positions = 0;
  for (const TokenRow& row : batch) positions = std::max(positions, row.position + 1);
  for (RopeTable* rope : {&rope_, &local_rope_, &no_rope_}) {
    if (std::any_of(layers_.begin(), layers_.end(), [&](const Layer& l) { return l.rope == rope; }))
      rope->Grow(positions);
  }
  kv_rows_.clear();
  for (const TokenRow& row : batch) kv_rows_.push_back({row.position, row.pages});
  for (const auto& attention : attentions_) attention->Plan(kv_rows_);
  const size_t rows = batch.size();
  if (rows <= reserved_rows_) return;
  reserved_rows_ = 0;  // should an allocation fail half-way
  for (AlignedBuffer<float>* buffer : {&x_, &h_}) *buffer = AlignedBuffer<float>(rows * hidden_);
  for (AlignedBuffer<float>* buffer : {&q_, &attended_}) {
    *buffer = AlignedBuffer<float>(rows * q_size_);
  }
  for (AlignedBuffer<float>* buffer : {&k_, &v_}) *buffer = AlignedBuffer<float>(rows * kv_size_);
  for (AlignedBuffer<float>* buffer : {&gate_, &up_}) *buffer = AlignedBuffer<float>(rows * inner_);
  reserved_rows_ = rows;
}

DecoderModel::DecoderModel(const ModelFile& file, Tier tier, KvDtype kv_dtype, ThreadPool* pool)
    : config_(file.config()),
      kv_(config_, kv_dtype),
      heads_(static_cast<size_t>(config_.num_attention_heads)),
      head_dim_(static_cast<size_t>(config_.head_dim)),
      vocab_size_(static_cast<size_t>(config_.vocab_size)),
      pool_(pool),
      norm_(NormKernels(tier)),
      activation_(ActivationKernels(tier)),
      linear_(tier, pool),
      rope_(config_.rope_theta, head_dim_, config_.rope_factors, config_.rope_attention_factor),
      local_rope_(std::max(config_.rope_local_base_freq, 1.0), head_dim_),
      no_rope_(RopeTable::Identity(head_dim_)),
      hidden_(RoundUp(static_cast<size_t>(config_.hidden_size), 16)),
      q_size_(RoundUp(heads_ * head_dim_, 16)),
      kv_size_(RoundUp(kv_.kv_heads * head_dim_, 16)),
      inner_(RoundUp(static_cast<size_t>(config_.intermediate_size), 16)) {}

StatusOr<std::unique_ptr<DecoderModel>> DecoderModel::Create(const ModelFile& file, Tier tier,
                                                             KvDtype kv_dtype, ThreadPool* pool) {
  const ModelConfig& config = file.config();
  if (config.head_dim > static_cast<int64_t>(kMaxHeadDim)) {
    return InvalidArgument(file.path() + ": head_dim " + std::to_string(config.head_dim) +
                           " is not supported (at most " + std::to_string(kMaxHeadDim) + ")");
  }
  const bool local = config.rope_local_base_freq != 0;
  const double theta =
      local ? std::min(config.rope_theta, config.rope_local_base_freq) : config.rope_theta;
  if (theta < 1.0) {
    return InvalidArgument(file.path() + ": rope_theta " + std::to_string(theta) +
                           " is not supported (at least 1)");
  }
  if (config.qk_norm && config.head_dim % 16 != 0) {
    return InvalidArgument(file.path() + ": head_dim " + std::to_string(config.head_dim) +
                           " is not supported with qk_norm (a multiple of 16)");
  }
  std::unique_ptr<DecoderModel> model(new DecoderModel(file, tier, kv_dtype, pool));
  INFENG_RETURN_IF_ERROR(model->BindTensors(file));
  model->MakeAttentions(tier);
  return model;
}

void DecoderModel::MakeAttentions(Tier tier) {
  std::map<size_t, Attention*> by_window;
  AttentionVariant variant;
  variant.soft_cap = static_cast<float>(config_.attn_logit_softcapping);
  if (config_.query_pre_attn_scalar != 0) {
    variant.scale = 1.0f / std::sqrt(static_cast<float>(config_.query_pre_attn_scalar));
  }
  for (size_t l = 0; l < layers_.size(); ++l) {
    variant.window = config_.LayerWindow(l);
    Attention*& attention = by_window[variant.window];
    if (attention == nullptr) {
      attentions_.push_back(std::make_unique<Attention>(kv_, heads_, tier, pool_, variant));
      attention = attentions_.back().get();
    }
    layers_[l].attention = attention;
    const LayerRope rope = config_.RopeOf(l);
    layers_[l].rope = rope == LayerRope::kGlobal  ? &rope_
                      : rope == LayerRope::kLocal ? &local_rope_
                                                  : &no_rope_;
  }
}

Status DecoderModel::BindTensors(const ModelFile& file) {
  Status status;
  const auto tensor = [&](const std::string& name) -> const TensorView* {
    const TensorView* view = file.tensor(name);
    if (view == nullptr && status.ok())
      status = DataLoss(file.path() + ": tensor " + name + " is missing");
    return view;
  };
  const auto vector = [&](const std::string& name) -> const float* {
    const TensorView* view = tensor(name);
    return view == nullptr ? nullptr : view->f32;
  };
  const auto linear = [&](const std::string& name, bool has_bias) -> Linear {
    return {tensor(name + ".weight"), has_bias ? vector(name + ".bias") : nullptr};
  };
  // One quantised input serves all the layers that share it.
  const auto share_group = [&](std::initializer_list<const TensorView*> views,
                               const std::string& where) {
    const TensorView* first = nullptr;
    for (const TensorView* view : views) {
      if (view == nullptr || view->dtype == DType::kF32) continue;
      if (first == nullptr) first = view;
      if (view->group != first->group && status.ok()) {
        status = InvalidArgument(file.path() + ": " + where + " have groups of " +
                                 std::to_string(first->group) + " and " +
                                 std::to_string(view->group) + "; they must be alike");
      }
    }
  };

  embedding_ = tensor("model.embed_tokens.weight");
  head_ = config_.tie_word_embeddings ? embedding_ : tensor("lm_head.weight");
  final_norm_ = vector("model.norm.weight");
  for (size_t l = 0; l < static_cast<size_t>(config_.num_hidden_layers); ++l) {
    const std::string prefix = "model.layers." + std::to_string(l) + ".";
    const std::string attention = prefix + "self_attn.";
    const std::string mlp = prefix + "mlp.";
    Layer layer = {};
    layer.input_norm = vector(prefix + "input_layernorm.weight");
    // Where there are norms after attention and MLP, the names mean other places.
    const std::string post_attention = prefix + "post_attention_layernorm.weight";
    if (config_.post_norms) {
      layer.post_attention_norm = vector(post_attention);
      layer.pre_mlp_norm = vector(prefix + "pre_feedforward_layernorm.weight");
      layer.post_mlp_norm = vector(prefix + "post_feedforward_layernorm.weight");
    } else {
      layer.pre_mlp_norm = vector(post_attention);
    }
    if (config_.qk_norm) {
      layer.q_norm = vector(attention + "q_norm.weight");
      layer.k_norm = vector(attention + "k_norm.weight");
    }
    layer.q = linear(attention + "q_proj", config_.attention_bias);
    layer.k = linear(attention + "k_proj", config_.attention_bias);
    layer.v = linear(attention + "v_proj", config_.attention_bias);
    layer.o = linear(attention + "o_proj", config_.attention_output_bias);
    layer.gate = linear(mlp + "gate_proj", config_.mlp_bias);
    layer.up = linear(mlp + "up_proj", config_.mlp_bias);
    layer.down = linear(mlp + "down_proj", config_.mlp_bias);
    share_group({layer.q.weight, layer.k.weight, layer.v.weight},
                attention + "{q,k,v}_proj.weight");
    share_group({layer.gate.weight, layer.up.weight}, mlp + "{gate,up}_proj.weight");
    layers_.push_back(layer);
  }
  return status;
}

}  // namespace infeng
