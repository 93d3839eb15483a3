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
#include "cc/model/decoder.h"

namespace infeng {

// "int8", "int4", "f16" or "f32".
StatusOr<KvDtype> ParseKvDtype(std::string_view name);

// Bytes of a page, which holds kPagePositions positions of a sequence.
size_t KvPageBytes(const ModelConfig& config, KvDtype dtype);

struct EngineOptions {
  int threads = 0;                  // 0: one per core that the process may run on
  std::string force_path = "auto";  // auto, scalar, avx2, avx512 or amx
  KvDtype kv_dtype = KvDtype::kInt8;
  size_t kv_pages = 0;  // pages of keys and values at most; 0: as memory allows
};

// The memory for keys and values. A page holds page_positions positions of a sequence, and is
// counted once however many sequences share it.
struct KvUsage {
  size_t page_positions;
  size_t page_bytes;
  size_t pages_limit;
  size_t pages_taken;
};

using SequenceId = int64_t;
using AdapterId = int64_t;
constexpr AdapterId kNoAdapter = -1;

// The next tokens of one sequence.
struct BatchItem {
  SequenceId sequence;
  std::span<const uint32_t> ids;  // at least one
  AdapterId adapter = kNoAdapter;
  size_t logits_rows = 1;  // with kLast: for so many of the last ids, from one to all
};

enum class LogitsMode {
  kLast,  // rows for the last ids of each item
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
  KvUsage kv_usage();
  // Bytes of keys and values that the sequences hold.
  size_t kv_bytes();

  // An empty sequence. Ids are never used again.
  SequenceId NewSequence();
  // A sequence that holds the first `length` tokens of another and goes its own way from there.
  // Full pages are shared, so that a prefix is kept and computed once; the rest of a page is
  // copied. Fails with NotFound, InvalidArgument (length beyond the sequence) or ResourceExhausted.
  StatusOr<SequenceId> ForkSequence(SequenceId id, size_t length);
  // Pages that no other sequence holds are free then. May be called between any two steps.
  Status FreeSequence(SequenceId id);
  // Takes back all tokens of a sequence but the first `length`: it is as if they had never been
  // read. Pages that it no longer reaches are free; one that it shares and would write is copied.
  // Fails with NotFound, InvalidArgument (length beyond the sequence) or ResourceExhausted; then
  // nothing has changed.
  Status TruncateSequence(SequenceId id, size_t length);
  StatusOr<size_t> SequenceLength(SequenceId id);

  // Copies the matrices. Names are unique. Fails with InvalidArgument that names the target.
  StatusOr<AdapterId> AddAdapter(const std::string& name, std::span<const AdapterTarget> targets);
  // A step that runs meanwhile keeps the adapter until it is done.
  Status RemoveAdapter(AdapterId id);

  // The rows of logits that a step gives.
  static size_t LogitsRows(std::span<const BatchItem> batch, LogitsMode mode);

  // Appends each item's ids to its sequence: prompts in pieces of any size, and next tokens, in one
  // batch. logits is [rows][vocab_size], rows in the order of the items and their ids; once the
  // longest sequences and the largest batch have been seen, a step allocates nothing. Fails with
  // NotFound (sequence or adapter), InvalidArgument (no ids, an id outside the vocabulary, too long
  // a sequence, a sequence twice, more rows of logits than ids, a wrong size of logits),
  // ResourceExhausted, or Internal (logits that are not finite); then no sequence has changed.
  Status Step(std::span<const BatchItem> batch, LogitsMode mode, std::span<float> logits);
  // The same with a vector that becomes [rows][vocab_size], empty on failure.
  Status Step(std::span<const BatchItem> batch, LogitsMode mode, std::vector<float>* logits);

 private:
  struct Sequence {
    Sequence(PagePool* pool, size_t max_positions) : pages(pool, max_positions) {}
    size_t length = 0;
    uint64_t last_step = 0;  // the step that met it last
    PageTable pages;
  };
  // An item whose references have been looked up.
  struct Work {
    Sequence* sequence;
    std::span<const uint32_t> ids;
    std::shared_ptr<const Adapter> adapter;
    size_t logits_rows;
  };

  Engine(std::unique_ptr<ModelFile> file, Tier tier, int threads)
      : file_(std::move(file)), tier_(tier), pool_(threads) {}

  size_t max_positions() const {
    return static_cast<size_t>(file_->config().max_position_embeddings);
  }
  SequenceId Insert(std::unique_ptr<Sequence> sequence);
  // The sequence, which has `length` tokens or more.
  StatusOr<Sequence*> Find(SequenceId id, size_t length);
  StatusOr<std::shared_ptr<const Adapter>> FindAdapter(AdapterId id);
  // Fills work_.
  Status Validate(std::span<const BatchItem> batch);
  Status TakePages();
  void Run(LogitsMode mode, float* logits);

  const std::unique_ptr<const ModelFile> file_;
  const Tier tier_;
  ThreadPool pool_;
  std::unique_ptr<DecoderModel> model_;
  std::unique_ptr<PagePool> pages_;

  std::mutex mutex_;  // guards what follows up to rows_, the model and the pages
  SequenceId last_sequence_ = 0;
  uint64_t steps_ = 0;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::vector<Work> work_;  // of the step that runs
  std::vector<TokenRow> rows_;

  // An adapter comes and goes while a step runs: nobody waits for its end.
  std::mutex adapters_mutex_;  // guards what follows; taken after mutex_
  AdapterId last_adapter_ = kNoAdapter;
  std::map<AdapterId, std::shared_ptr<const Adapter>> adapters_;
};

}  // namespace infeng

#endif  // INFENG_CC_ENGINE_ENGINE_H_
