#include "cc/engine/engine.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <new>
#include <system_error>
#include <utility>

#include "cc/cpu/cores.h"

namespace infeng {
namespace {

// Whether all are finite. Looks at the exponents only, so that no sum can overflow.
bool AllFinite(const float* values, size_t n) {
  uint32_t bad = 0;
  for (size_t i = 0; i < n; ++i) {
    bad |= (std::bit_cast<uint32_t>(values[i]) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
  }
  return bad == 0;
}

Status OutOfMemory(const std::string& what) {
  return ResourceExhausted("not enough memory for " + what);
}

}  // namespace

StatusOr<KvDtype> ParseKvDtype(std::string_view name) {
  for (const KvDtype dtype : {KvDtype::kInt8, KvDtype::kInt4, KvDtype::kF16, KvDtype::kF32}) {
    if (name == KvDtypeName(dtype)) return dtype;
  }
  return InvalidArgument("kv_dtype '" + std::string(name) +
                         "' is not known (int8, int4, f16, f32)");
}

size_t KvPageBytes(const ModelConfig& config, KvDtype dtype) {
  return KvLayout(config, dtype).page_bytes();
}

StatusOr<std::unique_ptr<Engine>> Engine::Open(const std::string& path,
                                               const EngineOptions& options) {
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return InvalidArgument("threads " + std::to_string(options.threads) + " is not within 0.." +
                           std::to_string(kMaxThreads));
  }
  INFENG_ASSIGN_OR_RETURN(const Tier tier, ChooseTier(options.force_path, DetectCpu()));
  INFENG_ASSIGN_OR_RETURN(std::unique_ptr<ModelFile> file, ModelFile::Open(path));
  const int threads =
      options.threads > 0 ? options.threads : std::min(VisibleCores().physical, kMaxThreads);
  try {
    std::unique_ptr<Engine> engine(new Engine(std::move(file), tier, threads));
    INFENG_ASSIGN_OR_RETURN(engine->model_, DecoderModel::Create(*engine->file_, tier,
                                                                 options.kv_dtype, &engine->pool_));
    const size_t limit =
        options.kv_pages > 0 ? options.kv_pages : std::numeric_limits<size_t>::max();
    engine->pages_ = std::make_unique<PagePool>(engine->model_->kv_layout().page_bytes(), limit);
    return engine;
  } catch (const std::bad_alloc&) {
    return OutOfMemory("the model " + path);
  } catch (const std::system_error& error) {
    return ResourceExhausted("cannot start " + std::to_string(threads) +
                             " threads: " + error.what());
  }
}

KvUsage Engine::kv_usage() {
  const std::lock_guard lock(mutex_);
  return {kPagePositions, pages_->page_bytes(), pages_->limit(), pages_->taken()};
}

size_t Engine::kv_bytes() {
  const KvUsage usage = kv_usage();
  return usage.pages_taken * usage.page_bytes;
}

SequenceId Engine::Insert(std::unique_ptr<Sequence> sequence) {
  sequences_.emplace(last_sequence_ + 1, std::move(sequence));
  return ++last_sequence_;
}

SequenceId Engine::NewSequence() {
  const std::lock_guard lock(mutex_);
  return Insert(std::make_unique<Sequence>(pages_.get(), max_positions()));
}

StatusOr<Engine::Sequence*> Engine::Find(SequenceId id, size_t length) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return NotFound("no sequence has id " + std::to_string(id));
  Sequence* sequence = found->second.get();
  if (length > sequence->length) {
    return InvalidArgument("sequence " + std::to_string(id) + " has " +
                           std::to_string(sequence->length) + " tokens, not " +
                           std::to_string(length));
  }
  return sequence;
}

StatusOr<SequenceId> Engine::ForkSequence(SequenceId id, size_t length) {
  const std::lock_guard lock(mutex_);
  INFENG_ASSIGN_OR_RETURN(const Sequence* parent, Find(id, length));
  try {
    auto fork = std::make_unique<Sequence>(pages_.get(), max_positions());
    fork->pages.ShareFrom(parent->pages, length);
    fork->length = length;
    return Insert(std::move(fork));
  } catch (const std::bad_alloc&) {
    return OutOfMemory("a page to copy part of sequence " + std::to_string(id));
  }
}

Status Engine::FreeSequence(SequenceId id) {
  const std::lock_guard lock(mutex_);
  if (sequences_.erase(id) == 0) return NotFound("no sequence has id " + std::to_string(id));
  return Status();
}

Status Engine::TruncateSequence(SequenceId id, size_t length) {
  const std::lock_guard lock(mutex_);
  INFENG_ASSIGN_OR_RETURN(Sequence * sequence, Find(id, length));
  try {
    sequence->pages.Cut(length);
  } catch (const std::bad_alloc&) {
    return OutOfMemory("a page to copy part of sequence " + std::to_string(id));
  }
  sequence->length = length;
  return Status();
}

StatusOr<size_t> Engine::SequenceLength(SequenceId id) {
  const std::lock_guard lock(mutex_);
  INFENG_ASSIGN_OR_RETURN(const Sequence* sequence, Find(id, 0));
  return sequence->length;
}

StatusOr<AdapterId> Engine::AddAdapter(const std::string& name,
                                       std::span<const AdapterTarget> targets) {
  try {
    // Checked and copied before the lock is taken.
    INFENG_ASSIGN_OR_RETURN(std::shared_ptr<const Adapter> adapter,
                            Adapter::Create(file_->config(), name, targets));
    const std::lock_guard lock(adapters_mutex_);
    for (const auto& [id, other] : adapters_) {
      if (other->name() == name)
        return InvalidArgument("an adapter is called '" + name + "' already");
    }
    adapters_.emplace(last_adapter_ + 1, std::move(adapter));
    return ++last_adapter_;
  } catch (const std::bad_alloc&) {
    return OutOfMemory("adapter '" + name + "'");
  }
}

Status Engine::RemoveAdapter(AdapterId id) {
  const std::lock_guard lock(adapters_mutex_);
  if (adapters_.erase(id) == 0) return NotFound("no adapter has id " + std::to_string(id));
  return Status();
}

StatusOr<std::shared_ptr<const Adapter>> Engine::FindAdapter(AdapterId id) {
  const std::lock_guard lock(adapters_mutex_);
  const auto found = adapters_.find(id);
  if (found == adapters_.end()) return NotFound("no adapter has id " + std::to_string(id));
  return found->second;
}

Status Engine::Validate(std::span<const BatchItem> batch) {
  work_.clear();
  ++steps_;
  for (size_t i = 0; i < batch.size(); ++i) {
    const BatchItem& item = batch[i];
    const auto where = [&] {
      return "batch[" + std::to_string(i) + "], sequence " + std::to_string(item.sequence) + ": ";
    };
    const auto found = sequences_.find(item.sequence);
    if (found == sequences_.end()) return NotFound(where() + "no sequence has this id");
    Sequence* sequence = found->second.get();
    if (sequence->last_step == steps_) {
      return InvalidArgument(where() + "the sequence is in the batch twice");
    }
    sequence->last_step = steps_;
    std::shared_ptr<const Adapter> adapter;
    if (item.adapter != kNoAdapter) {
      auto known = FindAdapter(item.adapter);
      if (!known.ok()) return NotFound(where() + known.status().message());
      adapter = std::move(known).value();
    }
    if (item.ids.empty()) return InvalidArgument(where() + "there are no ids");
    if (item.logits_rows < 1 || item.logits_rows > item.ids.size()) {
      return InvalidArgument(where() + std::to_string(item.logits_rows) +
                             " rows of logits cannot come of " + std::to_string(item.ids.size()) +
                             " ids");
    }
    for (size_t j = 0; j < item.ids.size(); ++j) {
      if (item.ids[j] >= vocab_size()) {
        return InvalidArgument(where() + "ids[" + std::to_string(j) + "] is " +
                               std::to_string(item.ids[j]) + ", the vocabulary has " +
                               std::to_string(vocab_size()));
      }
    }
    if (item.ids.size() > max_positions() - sequence->length) {
      return InvalidArgument(
          where() + std::to_string(sequence->length) + " + " + std::to_string(item.ids.size()) +
          " tokens are more than the model's " + std::to_string(max_positions()) + " positions");
    }
    work_.push_back({sequence, item.ids, std::move(adapter), item.logits_rows});
  }
  return Status();
}

Status Engine::TakePages() {
  size_t missing = 0;
  for (const Work& item : work_) {
    missing += item.sequence->pages.Missing(item.sequence->length + item.ids.size());
  }
  if (missing > pages_->limit() - pages_->taken()) {
    return ResourceExhausted("the step needs " + std::to_string(missing) +
                             " pages of keys and values; " +
                             std::to_string(pages_->limit() - pages_->taken()) + " of " +
                             std::to_string(pages_->limit()) + " are free");
  }
  for (const Work& item : work_) {
    item.sequence->pages.Resize(item.sequence->length + item.ids.size());
  }
  return Status();
}

size_t Engine::LogitsRows(std::span<const BatchItem> batch, LogitsMode mode) {
  size_t rows = 0;
  for (const BatchItem& item : batch) {
    // More rows than ids are an error that the step tells.
    rows +=
        mode == LogitsMode::kAll ? item.ids.size() : std::min(item.logits_rows, item.ids.size());
  }
  return rows;
}

Status Engine::Step(std::span<const BatchItem> batch, LogitsMode mode, std::span<float> logits) {
  const std::lock_guard lock(mutex_);
  Status status;
  try {
    status = Validate(batch);
    const size_t rows = LogitsRows(batch, mode);
    if (status.ok() && logits.size() != rows * vocab_size()) {
      status = InvalidArgument("there is room for " + std::to_string(logits.size()) +
                               " logits where the step gives " + std::to_string(rows) + " x " +
                               std::to_string(vocab_size()));
    }
    if (status.ok()) status = TakePages();
    if (status.ok()) {
      Run(mode, logits.data());
      if (!AllFinite(logits.data(), logits.size())) {
        status = Internal("logits are not finite: the weights or an adapter overflow f32");
      }
    }
  } catch (const std::bad_alloc&) {
    status = OutOfMemory("a step of " + std::to_string(batch.size()) + " sequences");
  }
  for (const Work& item : work_) {
    if (status.ok()) item.sequence->length += item.ids.size();
    item.sequence->pages.Resize(item.sequence->length);
  }
  work_.clear();
  return status;
}

Status Engine::Step(std::span<const BatchItem> batch, LogitsMode mode, std::vector<float>* logits) {
  try {
    logits->resize(LogitsRows(batch, mode) * vocab_size());
  } catch (const std::bad_alloc&) {
    return OutOfMemory("the logits of a step of " + std::to_string(batch.size()) + " sequences");
  }
  Status status = Step(batch, mode, std::span<float>(*logits));
  if (!status.ok()) logits->clear();
  return status;
}

void Engine::Run(LogitsMode mode, float* logits) {
  rows_.clear();
  size_t wanted = 0;
  const auto flush = [&] {
    model_->Forward(rows_, logits);
    logits += wanted * vocab_size();
    rows_.clear();
    wanted = 0;
  };
  for (const Work& item : work_) {
    for (size_t i = 0; i < item.ids.size(); ++i) {
      const bool wants = mode == LogitsMode::kAll || i + item.logits_rows >= item.ids.size();
      rows_.push_back({item.ids[i], item.sequence->length + i, item.sequence->pages.pages(),
                       item.adapter.get(), wants});
      wanted += wants ? 1 : 0;
      if (rows_.size() == DecoderModel::kMaxRows) flush();
    }
  }
  if (!rows_.empty()) flush();
}

}  // namespace infeng
