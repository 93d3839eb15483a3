#ifndef INFENG_CC_ENGINE_ENGINE_H_
#define INFENG_CC_ENGINE_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cc/base/status.h"
#include "cc/base/thread_pool.h"
#include "cc/cpu/cpu.h"
#include "cc/engine/kv_cache.h"
#include "cc/format/model_file.h"
#include "cc/model/adapter.h"
#include "cc/model/llama.h"

namespace infeng {

// "int8", "int4", "f16" or "f32".
StatusOr<KvDtype> ParseKvDtype(std::string_view name);

// Bytes of a page, which holds kPagePositions positions of a sequence.
size_t KvPageBytes(const ModelConfig& config, KvDtype dtype);

struct EngineOptions {
  int threads = 0;                  // 0: one per core that the process may run on
  std::string force_path = "auto";  // auto, scalar, avx2 or avx512
  KvDtype kv_dtype = KvDtype::kInt8;
};

using SequenceId = int64_t;
using AdapterId = int64_t;
constexpr AdapterId kNoAdapter = -1;

// The next tokens of one sequence.
struct BatchItem {
  SequenceId sequence;
  std::span<const uint32_t> ids;  // at least one
  AdapterId adapter = kNoAdapter;
};

enum class LogitsMode {
  kLast,  // a row for the last id of each item
  kAll,   // a row for each id
};

// A model, the sequences that it has read, and the adapters that it can wear.
//
// The logits of a token depend on its sequence's tokens, their adapters and the KV dtype, and on
// nothing else: not on the batch, the division into steps, the threads or the tier. All functions
// are thread-safe; steps run one after another.
class Engine {
 public:
  static constexpr int kMaxThreads = 256;

  // Fails with NotFound, DataLoss (the file is damaged), InvalidArgument (an option or the model's
  // shape), Unavailable (the CPU lacks the forced tier) or ResourceExhausted.
  static StatusOr<std::unique_ptr<Engine>> Open(const std::string& path,
                                                const EngineOptions& options);

  const ModelFile& file() const { return *file_; }
  Tier tier() const { return tier_; }
  int threads() const { return pool_.threads(); }
  size_t vocab_size() const { return static_cast<size_t>(file_->config().vocab_size); }
  // Bytes of keys and values that the sequences hold.
  size_t kv_bytes();

  // An empty sequence. Ids are never used again.
  SequenceId NewSequence();
  Status FreeSequence(SequenceId id);
  StatusOr<size_t> SequenceLength(SequenceId id);

  // Copies the matrices. Names are unique. Fails with InvalidArgument that names the target.
  StatusOr<AdapterId> AddAdapter(const std::string& name, std::span<const AdapterTarget> targets);
  Status RemoveAdapter(AdapterId id);

  // Appends each item's ids to its sequence. logits becomes [rows][vocab_size], rows in the order
  // of the items and their ids. Fails with NotFound (sequence or adapter), InvalidArgument (no ids,
  // an id outside the vocabulary, too long a sequence, a sequence twice), ResourceExhausted, or
  // Internal (logits that are not finite); then no sequence has changed and logits is empty.
  Status Step(std::span<const BatchItem> batch, LogitsMode mode, std::vector<float>* logits);

 private:
  struct Sequence {
    explicit Sequence(PagePool* pool) : pages(pool) {}
    size_t length = 0;
    PageTable pages;
  };
  // An item whose references have been looked up.
  struct Work {
    Sequence* sequence;
    std::span<const uint32_t> ids;
    const Adapter* adapter;
  };

  Engine(std::unique_ptr<ModelFile> file, Tier tier, int threads)
      : file_(std::move(file)), tier_(tier), pool_(threads) {}

  StatusOr<std::vector<Work>> Validate(std::span<const BatchItem> batch);
  void Run(const std::vector<Work>& work, LogitsMode mode, float* logits);

  const std::unique_ptr<const ModelFile> file_;
  const Tier tier_;
  ThreadPool pool_;
  std::unique_ptr<LlamaModel> model_;
  std::unique_ptr<PagePool> pages_;

  std::mutex mutex_;  // guards all below, the model and the pages
  SequenceId last_sequence_ = 0;
  AdapterId last_adapter_ = kNoAdapter;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::map<AdapterId, std::shared_ptr<const Adapter>> adapters_;
  std::vector<TokenRow> rows_;
};

}  // namespace infeng

#endif  // INFENG_CC_ENGINE_ENGINE_H_
