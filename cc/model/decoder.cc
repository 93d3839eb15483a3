#include "cc/model/decoder.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

namespace infeng {

void DecoderModel::Forward(std::span<const TokenRow> rows, float* logits) {
  const size_t m = rows.size();
  Reserve(rows);
  GroupByAdapter(rows);
  float* x = x_.data();
  float* h = h_.data();
  for (size_t i = 0; i < m; ++i) DequantizeRow(*embedding_, rows[i].id, x + i * hidden_);

  for (size_t l = 0; l < layers_.size(); ++l) {
    const Layer& w = layers_[l];
    Norm(x, w.input_norm, h, m);
    linear_.Run(h, hidden_, m,
                {{w.q, q_.data(), q_size_, false, Loras(l, Module::kQ)},
                 {w.k, k_.data(), kv_size_, false, Loras(l, Module::kK)},
                 {w.v, v_.data(), kv_size_, false, Loras(l, Module::kV)}});
    attention_.Store(l, rope_table_, q_.data(), q_size_, k_.data(), v_.data(), kv_size_);
    attention_.Attend(l, attended_.data(), q_size_);
    linear_.Run(attended_.data(), q_size_, m, {{w.o, x, hidden_, true, Loras(l, Module::kO)}});

    Norm(x, w.post_attention_norm, h, m);
    linear_.Run(h, hidden_, m,
                {{w.gate, gate_.data(), inner_, false, Loras(l, Module::kGate)},
                 {w.up, up_.data(), inner_, false, Loras(l, Module::kUp)}});
    ForEachRow(m, [&](size_t begin, size_t end) {
      activation_.swiglu({gate_.data(), up_.data(), gate_.data(), inner_, begin, end});
    });
    linear_.Run(gate_.data(), inner_, m, {{w.down, x, hidden_, true, Loras(l, Module::kDown)}});
  }
  Head(rows, logits);
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
  rope_table_.Grow(positions);
  kv_rows_.clear();
  for (const TokenRow& row : batch) kv_rows_.push_back({row.position, row.pages});
  attention_.Plan(kv_rows_);
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
      rope_table_(config_.rope_theta, head_dim_),
      attention_(kv_, heads_, tier, pool),
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
  if (config.rope_theta < 1.0) {
    return InvalidArgument(file.path() + ": rope_theta " + std::to_string(config.rope_theta) +
                           " is not supported (at least 1)");
  }
  std::unique_ptr<DecoderModel> model(new DecoderModel(file, tier, kv_dtype, pool));
  INFENG_RETURN_IF_ERROR(model->BindTensors(file));
  return model;
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
