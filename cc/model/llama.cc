#include "cc/model/llama.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

namespace infeng {

void LlamaModel::Forward(std::span<const TokenRow> rows, float* logits) {
  const size_t m = rows.size();
  Reserve(rows);
  FindAdapterRuns(rows);
  float* x = x_.data();
  float* h = h_.data();
  for (size_t i = 0; i < m; ++i) DequantizeRow(*embedding_, rows[i].id, x + i * hidden_);

  for (size_t l = 0; l < layers_.size(); ++l) {
    const Layer& w = layers_[l];
    Norm(x, w.input_norm, h, m);
    linear_.Run(h, hidden_, m,
                {{w.q, q_.data(), q_size_, false},
                 {w.k, k_.data(), kv_size_, false},
                 {w.v, v_.data(), kv_size_, false}});
    Adapt(l, Module::kQ, h, hidden_, q_.data(), q_size_);
    Adapt(l, Module::kK, h, hidden_, k_.data(), kv_size_);
    Adapt(l, Module::kV, h, hidden_, v_.data(), kv_size_);
    RotateAndStore(rows, l);
    Attend(rows, l);
    linear_.Run(attended_.data(), q_size_, m, {{w.o, x, hidden_, true}});
    Adapt(l, Module::kO, attended_.data(), q_size_, x, hidden_);

    Norm(x, w.post_attention_norm, h, m);
    linear_.Run(h, hidden_, m,
                {{w.gate, gate_.data(), inner_, false}, {w.up, up_.data(), inner_, false}});
    Adapt(l, Module::kGate, h, hidden_, gate_.data(), inner_);
    Adapt(l, Module::kUp, h, hidden_, up_.data(), inner_);
    ForEachRow(m, [&](size_t begin, size_t end) {
      activation_.swiglu({gate_.data(), up_.data(), gate_.data(), inner_, begin, end});
    });
    linear_.Run(gate_.data(), inner_, m, {{w.down, x, hidden_, true}});
    Adapt(l, Module::kDown, gate_.data(), inner_, x, hidden_);
  }
  Head(rows, logits);
}

void LlamaModel::RotateAndStore(std::span<const TokenRow> rows, size_t layer) {
  const size_t dim = head_dim_;
  const size_t padded = kv_.padded_dim;
  const size_t heads = heads_;
  const size_t bytes = kv_.element_bytes();
  ForEachRow(rows.size(), [&](size_t begin, size_t end) {
    alignas(64) float rotated_k[kMaxHeadDim];
    for (size_t i = begin; i < end; ++i) {
      const size_t position = rows[i].position;
      const float* cos = rope_table_.cos(position);
      const float* sin = rope_table_.sin(position);
      rope_.rope({q_.data() + i * q_size_, heads, dim, cos, sin,
                  rotated_q_.data() + i * heads * padded, padded});
      char* page = static_cast<char*>(rows[i].pages[position / kPagePositions]);
      const size_t at = position % kPagePositions * padded;
      for (size_t head = 0; head < kv_.kv_heads; ++head) {
        const float* k = k_.data() + i * kv_size_ + head * dim;
        const float* v = v_.data() + i * kv_size_ + head * dim;
        rope_.rope({k, 1, dim, cos, sin, rotated_k, padded});
        char* key = page + (kv_.key_offset(layer, head) + at) * bytes;
        char* value = page + (kv_.value_offset(layer, head) + at) * bytes;
        attention_.store_kv({rotated_k, dim, key, padded, kv_.f16});
        attention_.store_kv({v, dim, value, padded, kv_.f16});
      }
    }
  });
}

void LlamaModel::Attend(std::span<const TokenRow> rows, size_t layer) {
  const size_t dim = head_dim_;
  const size_t padded = kv_.padded_dim;
  const size_t heads = heads_;
  const size_t group = heads / kv_.kv_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  pool_->ParallelFor(rows.size() * kv_.kv_heads, 1, [&](size_t begin, size_t end) {
    for (size_t item = begin; item < end; ++item) {
      const size_t i = item / kv_.kv_heads;
      const size_t kv_head = item % kv_.kv_heads;
      AttendArgs args = {};
      args.q = rotated_q_.data() + (i * heads + kv_head * group) * padded;
      args.out = attended_.data() + i * q_size_ + kv_head * group * dim;
      args.heads = group;
      args.head_dim = dim;
      args.padded_dim = padded;
      args.pages = rows[i].pages;
      args.k_offset = kv_.key_offset(layer, kv_head);
      args.v_offset = kv_.value_offset(layer, kv_head);
      args.positions = rows[i].position + 1;
      args.scale = scale;
      args.f16 = kv_.f16;
      attention_.attend(args);
    }
  });
}

void LlamaModel::Head(std::span<const TokenRow> rows, float* logits) {
  size_t count = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].wants_logits) continue;
    std::memcpy(h_.data() + count * hidden_, x_.data() + i * hidden_, hidden_ * sizeof(float));
    ++count;
  }
  if (count == 0) return;
  Norm(h_.data(), final_norm_, h_.data(), count);
  linear_.Run(h_.data(), hidden_, count, {{head_, logits, vocab_size_, false}});
}

void LlamaModel::Norm(const float* x, const float* weight, float* y, size_t rows) {
  const auto n = static_cast<size_t>(config_.hidden_size);
  const float eps = static_cast<float>(config_.rms_norm_eps);
  ForEachRow(rows, [&](size_t begin, size_t end) {
    norm_.rms_norm({x, hidden_, weight, n, eps, y, hidden_, begin, end});
  });
}

void LlamaModel::Adapt(size_t layer, Module module, const float* x, size_t x_stride, float* y,
                       size_t y_stride) {
  if (adapter_runs_.empty()) return;
  pool_->ParallelFor(adapter_runs_.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const AdapterRun& run = adapter_runs_[i];
      run.adapter->Apply(gemm_, layer, module, x + run.begin * x_stride, x_stride,
                         run.end - run.begin, y + run.begin * y_stride, y_stride);
    }
  });
}

void LlamaModel::FindAdapterRuns(std::span<const TokenRow> rows) {
  constexpr size_t kLongest = 16;  // so that threads can share a long prompt
  adapter_runs_.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].adapter == nullptr) continue;
    AdapterRun* last = adapter_runs_.empty() ? nullptr : &adapter_runs_.back();
    if (last != nullptr && last->adapter == rows[i].adapter && last->end == i &&
        i - last->begin < kLongest) {
      ++last->end;
    } else {
      adapter_runs_.push_back({rows[i].adapter, i, i + 1});
    }
  }
}

void LlamaModel::ForEachRow(size_t rows, FunctionRef<void(size_t, size_t)> work) {
  constexpr size_t kGrain = 4;  // fewer rows are not worth a second thread
  pool_->ParallelFor(rows, kGrain, work);
}

void LlamaModel::Reserve(std::span<const TokenRow> batch) {
  size_t positions = 0;
  for (const TokenRow& row : batch) positions = std::max(positions, row.position + 1);
  rope_table_.Grow(positions);
  const size_t rows = batch.size();
  if (rows <= reserved_rows_) return;
  reserved_rows_ = 0;  // should an allocation fail half-way
  for (AlignedBuffer<float>* buffer : {&x_, &h_}) *buffer = AlignedBuffer<float>(rows * hidden_);
  for (AlignedBuffer<float>* buffer : {&q_, &attended_}) {
    *buffer = AlignedBuffer<float>(rows * q_size_);
  }
  for (AlignedBuffer<float>* buffer : {&k_, &v_}) *buffer = AlignedBuffer<float>(rows * kv_size_);
  for (AlignedBuffer<float>* buffer : {&gate_, &up_}) *buffer = AlignedBuffer<float>(rows * inner_);
  rotated_q_ = AlignedBuffer<float>(rows * heads_ * kv_.padded_dim);
  reserved_rows_ = rows;
}

LlamaModel::LlamaModel(const ModelFile& file, Tier tier, bool kv_f16, ThreadPool* pool)
    : config_(file.config()),
      kv_(config_, kv_f16),
      heads_(static_cast<size_t>(config_.num_attention_heads)),
      head_dim_(static_cast<size_t>(config_.head_dim)),
      vocab_size_(static_cast<size_t>(config_.vocab_size)),
      pool_(pool),
      gemm_(GemmKernels(tier)),
      norm_(NormKernels(tier)),
      rope_(RopeKernels(tier)),
      activation_(ActivationKernels(tier)),
      attention_(AttentionKernels(tier)),
      linear_(tier, pool),
      rope_table_(config_.rope_theta, head_dim_),
      hidden_(RoundUp(static_cast<size_t>(config_.hidden_size), 16)),
      q_size_(RoundUp(heads_ * head_dim_, 16)),
      kv_size_(RoundUp(kv_.kv_heads * head_dim_, 16)),
      inner_(RoundUp(static_cast<size_t>(config_.intermediate_size), 16)) {}

StatusOr<std::unique_ptr<LlamaModel>> LlamaModel::Create(const ModelFile& file, Tier tier,
                                                         bool kv_f16, ThreadPool* pool) {
  const ModelConfig& config = file.config();
  if (config.head_dim > static_cast<int64_t>(kMaxHeadDim)) {
    return InvalidArgument(file.path() + ": head_dim " + std::to_string(config.head_dim) +
                           " is not supported (at most " + std::to_string(kMaxHeadDim) + ")");
  }
  if (config.rope_theta < 1.0) {
    return InvalidArgument(file.path() + ": rope_theta " + std::to_string(config.rope_theta) +
                           " is not supported (at least 1)");
  }
  std::unique_ptr<LlamaModel> model(new LlamaModel(file, tier, kv_f16, pool));
  INFENG_RETURN_IF_ERROR(model->BindTensors(file));
  return model;
}

Status LlamaModel::BindTensors(const ModelFile& file) {
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
  // One quantised input serves all the layers that share it.
  const auto share_group = [&](std::initializer_list<const TensorView*> views,
                               const std::string& where) {
    const TensorView* first = nullptr;
    for (const TensorView* view : views) {
      if (view == nullptr || view->dtype != DType::kI8) continue;
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
    layer.post_attention_norm = vector(prefix + "post_attention_layernorm.weight");
    layer.q = tensor(attention + "q_proj.weight");
    layer.k = tensor(attention + "k_proj.weight");
    layer.v = tensor(attention + "v_proj.weight");
    layer.o = tensor(attention + "o_proj.weight");
    layer.gate = tensor(mlp + "gate_proj.weight");
    layer.up = tensor(mlp + "up_proj.weight");
    layer.down = tensor(mlp + "down_proj.weight");
    share_group({layer.q, layer.k, layer.v}, attention + "{q,k,v}_proj.weight");
    share_group({layer.gate, layer.up}, mlp + "{gate,up}_proj.weight");
    layers_.push_back(layer);
  }
  return status;
}

}  // namespace infeng
