#ifndef INFENG_CC_MODEL_DECODER_H_
#define INFENG_CC_MODEL_DECODER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/base/function_ref.h"
#include "cc/base/status.h"
#include "cc/base/thread_pool.h"
#include "cc/cpu/cpu.h"
#include "cc/format/model_file.h"
#include "cc/kernels/activation/activation.h"
#include "cc/kernels/norm/norm.h"
#include "cc/model/adapter.h"
#include "cc/model/attention.h"
#include "cc/model/kv_layout.h"
#include "cc/model/linear.h"
#include "cc/model/rope_table.h"

namespace infeng {

// One token on its way through the model.
struct TokenRow {
  uint32_t id;
  size_t position;
  void* const* pages;      // of its sequence, up to the one that holds `position`
  const Adapter* adapter;  // or null
  bool wants_logits;
};

// A decoder of the Llama lineage (docs/models.md): RMSNorm, rotary embedding, grouped-query
// attention, gated MLP; tied or own head. What a family has besides is data of its layers.
// Not thread-safe: it owns the buffers of a forward pass.
class DecoderModel {
 public:
  // Rows of one forward pass; more only need more memory.
  static constexpr size_t kMaxRows = 256;

  // `file` and `pool` must outlive the model. Fails, naming what, if the model has a shape that the
  // kernels do not take.
  static StatusOr<std::unique_ptr<DecoderModel>> Create(const ModelFile& file, Tier tier,
                                                        KvDtype kv_dtype, ThreadPool* pool);

  const KvLayout& kv_layout() const { return kv_; }

  // Runs at most kMaxRows rows, whose ids and positions are valid. Rows of one sequence follow one
  // another in order of position, and all earlier positions are in its pages. Writes keys and
  // values to the pages, and to `logits` [rows that want them][vocab_size]. What a row gets depends
  // on that row and its sequence only. Logits may be NaN or infinite if weights or adapters are.
  void Forward(std::span<const TokenRow> rows, float* logits);

 private:
  struct Linear {
    const TensorView* weight = nullptr;
    const float* bias = nullptr;  // or null
  };
  // Norms and the RoPE that a layer does not have are null.
  struct Layer {
    const float *input_norm, *q_norm, *k_norm, *post_attention_norm;
    const float *pre_mlp_norm, *post_mlp_norm;
    Linear q, k, v, o, gate, up, down;
    Attention* attention;  // with the layer's window
    RopeTable* rope;
  };
  // Those of row_indices_ from begin to end share an adapter.
  struct AdapterRows {
    const Adapter* adapter;
    size_t begin, end;
  };

  DecoderModel(const ModelFile& file, Tier tier, KvDtype kv_dtype, ThreadPool* pool);

  Status BindTensors(const ModelFile& file);
  void MakeAttentions(Tier tier);
  void Embed(std::span<const TokenRow> rows, float* x);
  LinearJob Job(const Linear& linear, size_t layer, Module module, float* y, size_t stride,
                bool accumulate);
  // x += what a part of a layer gives: of its linear layer's output at once, or, if the family has
  // a norm there, after it.
  void AddTo(float* x, const float* in, size_t in_stride, size_t rows, const Linear& linear,
             size_t layer, Module module, const float* post_norm);
  void NormHeads(const Layer& layer, size_t rows);
  void Reserve(std::span<const TokenRow> rows);
  void GroupByAdapter(std::span<const TokenRow> rows);
  void ForEachRow(size_t rows, FunctionRef<void(size_t, size_t)> work);
  void Norm(const float* x, const float* weight, float* y, size_t rows);
  // Valid until the next call for the same module.
  std::span<const LoraUse> Loras(size_t layer, Module module);
  void Head(std::span<const TokenRow> rows, float* logits);

  const ModelConfig config_;
  const KvLayout kv_;
  const size_t heads_, head_dim_, vocab_size_;
  ThreadPool* pool_;
  const NormTier& norm_;
  const ActivationTier& activation_;
  LinearRunner linear_;
  RopeTable rope_, local_rope_, no_rope_;
  std::vector<std::unique_ptr<Attention>> attentions_;  // one per window that some layer has

  const TensorView* embedding_ = nullptr;
  const TensorView* head_ = nullptr;
  const float* final_norm_ = nullptr;
  std::vector<Layer> layers_;

  // Buffers [rows][stride]; strides are multiples of 16, padding stays zero.
  size_t hidden_, q_size_, kv_size_, inner_;
  size_t reserved_rows_ = 0;
  AlignedBuffer<float> x_, h_, q_, k_, v_, attended_, gate_, up_;
  std::vector<uint32_t> row_indices_;
  std::vector<AdapterRows> adapter_rows_;
  std::array<std::vector<LoraUse>, kModules> lora_uses_;
  std::vector<KvRow> kv_rows_;
};

}  // namespace infeng

#endif  // INFENG_CC_MODEL_DECODER_H_
