#include "cc/engine/engine.h"

#include <algorithm>
#include <bit>
#include <new>
#include <system_error>
#include <unordered_set>
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
    INFENG_ASSIGN_OR_RETURN(
        engine->model_, LlamaModel::Create(*engine->file_, tier, options.kv_dtype, &engine->pool_));
    engine->pages_ = std::make_unique<PagePool>(engine->model_->kv_layout().page_bytes());
    return engine;
  } catch (const std::bad_alloc&) {
    return OutOfMemory("the model " + path);
  } catch (const std::system_error& error) {
    return ResourceExhausted("cannot start " + std::to_string(threads) +
                             " threads: " + error.what());
  }
}

size_t Engine::kv_bytes() {
  const std::lock_guard lock(mutex_);
  return pages_->taken_bytes();
}

SequenceId Engine::NewSequence() {
  const std::lock_guard lock(mutex_);
  sequences_.emplace(last_sequence_ + 1, std::make_unique<Sequence>(pages_.get()));
  return ++last_sequence_;
}

Status Engine::FreeSequence(SequenceId id) {
  const std::lock_guard lock(mutex_);
  if (sequences_.erase(id) == 0) return NotFound("no sequence has id " + std::to_string(id));
  return Status();
}

StatusOr<size_t> Engine::SequenceLength(SequenceId id) {
  const std::lock_guard lock(mutex_);
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return NotFound("no sequence has id " + std::to_string(id));
  return found->second->length;
}

StatusOr<AdapterId> Engine::AddAdapter(const std::string& name,
                                       std::span<const AdapterTarget> targets) {
  try {
    // Checked and copied before the lock is taken: steps go on meanwhile.
    INFENG_ASSIGN_OR_RETURN(std::shared_ptr<const Adapter> adapter,
                            Adapter::Create(file_->config(), name, targets));
    const std::lock_guard lock(mutex_);
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
  const std::lock_guard lock(mutex_);
  if (adapters_.erase(id) == 0) return NotFound("no adapter has id " + std::to_string(id));
  return Status();
}

StatusOr<std::vector<Engine::Work>> Engine::Validate(std::span<const BatchItem> batch) {
  std::vector<Work> work;
  std::unordered_set<SequenceId> seen;
  const size_t longest = static_cast<size_t>(file_->config().max_position_embeddings);
  for (size_t i = 0; i < batch.size(); ++i) {
    const BatchItem& item = batch[i];
    const std::string where =
        "batch[" + std::to_string(i) + "], sequence " + std::to_string(item.sequence) + ": ";
    const auto sequence = sequences_.find(item.sequence);
    if (sequence == sequences_.end()) return NotFound(where + "no sequence has this id");
    if (!seen.insert(item.sequence).second) {
      return InvalidArgument(where + "the sequence is in the batch twice");
    }
    const Adapter* adapter = nullptr;
    if (item.adapter != kNoAdapter) {
      const auto found = adapters_.find(item.adapter);
      if (found == adapters_.end()) {
        return NotFound(where + "no adapter has id " + std::to_string(item.adapter));
      }
      adapter = found->second.get();
    }
    if (item.ids.empty()) return InvalidArgument(where + "there are no ids");
    for (size_t j = 0; j < item.ids.size(); ++j) {
      if (item.ids[j] >= vocab_size()) {
        return InvalidArgument(where + "ids[" + std::to_string(j) + "] is " +
                               std::to_string(item.ids[j]) + ", the vocabulary has " +
                               std::to_string(vocab_size()));
      }
    }
    const size_t length = sequence->second->length;
    if (item.ids.size() > longest - length) {
      return InvalidArgument(
          where + std::to_string(length) + " + " + std::to_string(item.ids.size()) +
          " tokens are more than the model's " + std::to_string(longest) + " positions");
    }
    work.push_back({sequence->second.get(), item.ids, adapter});
  }
  return work;
}

Status Engine::Step(std::span<const BatchItem> batch, LogitsMode mode, std::vector<float>* logits) {
  const std::lock_guard lock(mutex_);
  logits->clear();
  std::vector<Work> work;
  Status status;
  try {
    INFENG_ASSIGN_OR_RETURN(work, Validate(batch));
    size_t rows = work.size();
    if (mode == LogitsMode::kAll) {
      rows = 0;
      for (const Work& item : work) rows += item.ids.size();
    }
    logits->resize(rows * vocab_size());
    for (const Work& item : work) {
      item.sequence->pages.Resize(item.sequence->length + item.ids.size());
    }
    Run(work, mode, logits->data());
    if (!AllFinite(logits->data(), logits->size())) {
      status = Internal("logits are not finite: the weights or an adapter overflow f32");
    }
  } catch (const std::bad_alloc&) {
    status = OutOfMemory("a step of " + std::to_string(batch.size()) + " sequences");
  }
  for (const Work& item : work) {
    if (status.ok()) item.sequence->length += item.ids.size();
    item.sequence->pages.Resize(item.sequence->length);
  }
  if (!status.ok()) logits->clear();
  return status;
}

void Engine::Run(const std::vector<Work>& work, LogitsMode mode, float* logits) {
  rows_.clear();
  size_t wanted = 0;
  const auto flush = [&] {
    model_->Forward(rows_, logits);
    logits += wanted * vocab_size();
    rows_.clear();
    wanted = 0;
  };
  for (const Work& item : work) {
    for (size_t i = 0; i < item.ids.size(); ++i) {
      const bool wants = mode == LogitsMode::kAll || i + 1 == item.ids.size();
      rows_.push_back({item.ids[i], item.sequence->length + i, item.sequence->pages.pages(),
                       item.adapter, wants});
      wanted += wants ? 1 : 0;
      if (rows_.size() == LlamaModel::kMaxRows) flush();
    }
  }
  if (!rows_.empty()) flush();
}

}  // namespace infeng
