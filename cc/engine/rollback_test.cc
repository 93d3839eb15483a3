// What is taken back of a sequence leaves nothing: neither in the cache nor in any logit.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "cc/base/thread_pool.h"
#include "cc/cpu/cpu.h"
#include "cc/cpu/testing.h"
#include "cc/engine/fixture.h"
#include "cc/engine/kv_cache.h"
#include "cc/format/model_file.h"
#include "cc/kernels/attention/attention.h"
#include "cc/model/adapter.h"
#include "cc/model/decoder.h"

namespace infeng {
namespace {

constexpr size_t kVocab = 96;

// Heads so wide that an element can be far beyond the others' root mean square.
ModelConfig WideConfig() {
  ModelConfig config = TinyConfig();
  config.head_dim = 64;
  return config;
}

// Gives some values of some tokens elements that the cache keeps apart.
RandomAdapter OutlierAdapter() {
  RandomAdapter adapter(WideConfig(), {"v_proj"}, 1, 3);
  for (size_t target = 0; target < adapter.targets.size(); ++target) {
    std::vector<float>& b = adapter.matrices[2 * target + 1];
    for (size_t i = 0; i < b.size(); ++i) b[i] = i % 64 == 5 ? 32.0f : i % 64 == 40 ? -20.0f : 0.0f;
  }
  return adapter;
}

// One sequence that a model reads, with its pages in view.
class Reader {
 public:
  Reader(const ModelFile& file, Tier tier, KvDtype dtype, const Adapter* adapter)
      : pool_(2),
        model_(*DecoderModel::Create(file, tier, dtype, &pool_)),
        pages_(model_->kv_layout().page_bytes(), 100),
        table_(&pages_, 512),
        adapter_(adapter) {}

  std::vector<float> Read(std::span<const uint32_t> ids) {
    table_.Resize(length_ + ids.size());
    std::vector<TokenRow> rows;
    for (const uint32_t id : ids) {
      rows.push_back({id, length_++, table_.pages(), adapter_, true});
    }
    std::vector<float> logits(ids.size() * kVocab);
    model_->Forward(rows, logits.data());
    return logits;
  }

  void TakeBack(size_t length) {
    table_.Cut(length);
    length_ = length;
  }

  std::vector<uint8_t> Bytes(size_t page) const {
    const auto* begin = static_cast<const uint8_t*>(table_.pages()[page]);
    return {begin, begin + pages_.page_bytes()};
  }

  // What the cache holds of the first `positions`: the pages' bytes, once the positions after them
  // are overwritten by zeros and the room behind the outliers is cleared.
  std::vector<uint8_t> Held(size_t positions) const {
    std::vector<uint8_t> held;
    const KvBlock& block = model_->kv_layout().block;
    for (size_t page = 0; page * kPagePositions < positions; ++page) {
      AlignedBuffer<uint8_t> copy(pages_.page_bytes());
      std::memcpy(copy.data(), table_.pages()[page], copy.size());
      for (size_t at = 0; at < copy.size(); at += block.bytes) {
        const std::vector<float> zeros(block.head_dim);
        for (size_t slot = 0; slot < kPagePositions; ++slot) {
          if (page * kPagePositions + slot < positions) continue;
          AttentionKernels(Tier::kScalar)
              .store_kv({zeros.data(), zeros.data(), block, copy.data() + at, slot});
        }
        if (block.max_outliers == 0) continue;
        for (const size_t offset : {block.key_outliers, block.value_outliers}) {
          auto* list = reinterpret_cast<KvOutliers*>(copy.data() + at + offset);
          for (size_t e = list->end[kPagePositions - 1]; e < block.max_outliers; ++e) {
            list->entries[e] = {};
          }
        }
      }
      held.insert(held.end(), copy.begin(), copy.end());
    }
    return held;
  }

  // Entries of all lists of outliers of a page, up to a slot.
  size_t Outliers(size_t page, size_t slot) const {
    const KvBlock& block = model_->kv_layout().block;
    if (block.max_outliers == 0) return 0;
    size_t count = 0;
    for (size_t at = 0; at < pages_.page_bytes(); at += block.bytes) {
      const char* begin = static_cast<const char*>(table_.pages()[page]) + at;
      count += reinterpret_cast<const KvOutliers*>(begin + block.value_outliers)->end[slot];
    }
    return count;
  }

  size_t taken() const { return pages_.taken(); }

 private:
  ThreadPool pool_;
  std::unique_ptr<DecoderModel> model_;
  PagePool pages_;
  PageTable table_;
  const Adapter* adapter_;
  size_t length_ = 0;
};

class Rollback : public ::testing::TestWithParam<std::tuple<Tier, KvDtype>> {
 protected:
  void SetUp() override {
    const Tier tier = std::get<0>(GetParam());
    if (const std::string reason = SkipReason(tier); !reason.empty()) GTEST_SKIP() << reason;
  }
};

TEST_P(Rollback, TheCacheIsAsIfNothingHadBeenWritten) {
  const auto& [tier, dtype] = GetParam();
  const auto file = *ModelFile::Open(TinyModel(WideConfig(), true));
  const RandomAdapter matrices = OutlierAdapter();
  const auto adapter = *Adapter::Create(WideConfig(), "outliers", matrices.targets);
  const auto ids = RandomIds(140, kVocab, 1);
  const auto drafts = RandomIds(20, kVocab, 2);
  const bool quantised = dtype == KvDtype::kInt8 || dtype == KvDtype::kInt4;
  // Inside a page, up to its end, and over its edge into one that is new; from an empty sequence.
  for (const auto& [length, tried, kept] : {std::tuple<size_t, size_t, size_t>{70, 9, 0},
                                            {70, 9, 4},
                                            {55, 9, 0},
                                            {60, 9, 2},
                                            {60, 20, 6},
                                            {63, 1, 0},
                                            {64, 8, 0},
                                            {0, 7, 0}}) {
    Reader plain(*file, tier, dtype, adapter.get());
    Reader speculative(*file, tier, dtype, adapter.get());
    const auto all = std::span(ids);
    if (length > 0) {
      plain.Read(all.first(length));
      speculative.Read(all.first(length));
    }
    // Some of what is tried is right.
    std::vector<uint32_t> rows(all.begin() + static_cast<ptrdiff_t>(length),
                               all.begin() + static_cast<ptrdiff_t>(length + kept));
    rows.insert(rows.end(), drafts.begin(), drafts.begin() + static_cast<ptrdiff_t>(tried - kept));
    const auto before = speculative.taken();
    const size_t page = (length + tried - 1) / kPagePositions;
    const size_t slot = (length + tried - 1) % kPagePositions;
    speculative.Read(rows);
    if (quantised && tried > 4) {
      EXPECT_GT(speculative.Outliers(page, slot), 0u);
    }
    // Something has been written that would be found.
    if (kept > 0) plain.Read(all.subspan(length, kept));
    if ((length + kept) % kPagePositions != 0) {
      const size_t last = (length + kept) / kPagePositions;
      EXPECT_NE(speculative.Bytes(last), plain.Bytes(last));
    }
    speculative.TakeBack(length + kept);
    EXPECT_EQ(speculative.Held(length + kept), plain.Held(length + kept));
    if (kept == 0) {
      EXPECT_EQ(speculative.taken(), before);
    }
    // And it stays so, token by token and at once.
    for (const auto& [from, to] : {std::pair{length + kept, length + kept + 1},
                                   {length + kept + 1, length + kept + 30},
                                   {length + kept + 30, size_t{140}}}) {
      EXPECT_EQ(speculative.Read(all.subspan(from, to - from)),
                plain.Read(all.subspan(from, to - from)));
      EXPECT_EQ(speculative.Held(to), plain.Held(to)) << length << " " << tried << " " << kept;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, Rollback,
                         ::testing::Combine(::testing::ValuesIn(AllTiers()),
                                            ::testing::Values(KvDtype::kInt8, KvDtype::kInt4,
                                                              KvDtype::kF16, KvDtype::kF32)),
                         [](const auto& test) {
                           return std::string(TierName(std::get<0>(test.param))) + "_" +
                                  KvDtypeName(std::get<1>(test.param));
                         });

std::vector<float> StepOne(Engine* engine, SequenceId id, std::span<const uint32_t> ids,
                           size_t logits_rows = 1) {
  const BatchItem item = {id, ids, kNoAdapter, logits_rows};
  std::vector<float> logits;
  const Status status = engine->Step({&item, 1}, LogitsMode::kLast, &logits);
  EXPECT_TRUE(status.ok()) << status.message();
  return logits;
}

TEST(Truncate, SeveralRowsOfASequenceAreVerifiedAndTakenBack) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {.threads = 2});
  const auto ids = RandomIds(200, kVocab, 1);
  const auto wrong = RandomIds(12, kVocab, 2);
  const SequenceId alone = engine->NewSequence();
  std::vector<float> all;
  const BatchItem whole = {alone, ids, kNoAdapter};
  ASSERT_TRUE(engine->Step({&whole, 1}, LogitsMode::kAll, &all).ok());

  const SequenceId id = engine->NewSequence();
  const SequenceId mate = engine->NewSequence();
  StepOne(engine.get(), id, std::span(ids).first(58));
  for (size_t at = 58; at + 4 <= 200; at += 4) {
    // Four that are right and some that are not, beside another sequence.
    std::vector<uint32_t> rows(ids.begin() + static_cast<ptrdiff_t>(at),
                               ids.begin() + static_cast<ptrdiff_t>(at + 4));
    rows.insert(rows.end(), wrong.begin(), wrong.begin() + static_cast<ptrdiff_t>(at % 12));
    const std::vector<BatchItem> batch = {{mate, std::span(ids).subspan(at, 2), kNoAdapter, 1},
                                          {id, rows, kNoAdapter, rows.size()}};
    std::vector<float> logits;
    ASSERT_TRUE(engine->Step(batch, LogitsMode::kLast, &logits).ok());
    ASSERT_EQ(logits.size(), (1 + rows.size()) * kVocab);
    EXPECT_EQ(0, std::memcmp(&logits[kVocab], &all[at * kVocab], 4 * kVocab * sizeof(float)));
    ASSERT_TRUE(engine->TruncateSequence(id, at + 4).ok());
    EXPECT_EQ(*engine->SequenceLength(id), at + 4);
  }
  // Fewer rows than ids: those of the last.
  ASSERT_TRUE(engine->TruncateSequence(id, 100).ok());
  const auto last = StepOne(engine.get(), id, std::span(ids).subspan(100, 50), 3);
  ASSERT_EQ(last.size(), 3 * kVocab);
  EXPECT_EQ(0, std::memcmp(last.data(), &all[147 * kVocab], 3 * kVocab * sizeof(float)));
}

TEST(Truncate, PagesAreFreeAndSharedOnesAreCopied) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {.kv_pages = 5});
  const auto taken = [&] { return engine->kv_usage().pages_taken; };
  const auto ids = RandomIds(200, kVocab, 1);
  const SequenceId parent = engine->NewSequence();
  const auto want = StepOne(engine.get(), parent, std::span(ids).first(128));
  StepOne(engine.get(), parent, std::span(ids).subspan(128, 10));
  EXPECT_EQ(taken(), 3u);
  ASSERT_TRUE(engine->TruncateSequence(parent, 128).ok());
  EXPECT_EQ(taken(), 2u);
  const auto child = engine->ForkSequence(parent, 128);
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(taken(), 2u);
  // On an edge nothing is copied, inside a page its child gets one of its own.
  ASSERT_TRUE(engine->TruncateSequence(*child, 64).ok());
  EXPECT_EQ(taken(), 2u);
  ASSERT_TRUE(engine->TruncateSequence(*child, 20).ok());
  EXPECT_EQ(taken(), 3u);
  StepOne(engine.get(), *child, std::span(ids).subspan(70, 60));
  ASSERT_TRUE(engine->TruncateSequence(parent, 127).ok());
  EXPECT_EQ(StepOne(engine.get(), parent, std::span(ids).subspan(127, 1)), want);
  ASSERT_TRUE(engine->TruncateSequence(parent, 0).ok());
  EXPECT_EQ(*engine->SequenceLength(parent), 0u);
  EXPECT_EQ(taken(), 2u);
}

TEST(Truncate, IsChecked) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {.kv_pages = 2});
  EXPECT_EQ(engine->TruncateSequence(7, 0).code(), StatusCode::kNotFound);
  const SequenceId id = engine->NewSequence();
  const auto ids = RandomIds(128, kVocab, 1);
  StepOne(engine.get(), id, ids);
  const Status longer = engine->TruncateSequence(id, 129);
  EXPECT_EQ(longer.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(longer.message().find("has 128 tokens, not 129"), std::string::npos);
  // There is no page for a copy: nothing changes.
  const auto child = engine->ForkSequence(id, 128);
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(engine->TruncateSequence(*child, 100).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(*engine->SequenceLength(*child), 128u);
  for (const size_t rows : {0u, 3u}) {
    ASSERT_TRUE(engine->TruncateSequence(id, 64).ok());
    const BatchItem item = {id, std::span(ids).first(2), kNoAdapter, rows};
    std::vector<float> logits;
    const Status status = engine->Step({&item, 1}, LogitsMode::kLast, &logits);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("rows of logits cannot come of 2 ids"), std::string::npos);
  }
}

}  // namespace
}  // namespace infeng
