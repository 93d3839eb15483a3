// Sequences that share pages, a limit on pages, and steps that allocate nothing.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "cc/engine/fixture.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

// ThreadSanitizer's runtime has operator new for itself.
#if !__has_feature(thread_sanitizer)
#define INFENG_COUNTS_ALLOCATIONS
namespace {

std::atomic<size_t> allocations{0};

void* Allocate(size_t bytes, size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const size_t rounded = (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* data = std::aligned_alloc(alignment, rounded);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

}  // namespace

void* operator new(size_t bytes) { return Allocate(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return Allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, size_t, std::align_val_t) noexcept { std::free(data); }
#endif

namespace infeng {
namespace {

const std::vector<std::string> kAllModules = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                              "gate_proj", "up_proj", "down_proj"};

std::vector<float> StepOne(Engine* engine, SequenceId id, std::span<const uint32_t> ids,
                           LogitsMode mode = LogitsMode::kAll) {
  const BatchItem item = {id, ids, kNoAdapter};
  std::vector<float> logits;
  const Status status = engine->Step({&item, 1}, mode, &logits);
  EXPECT_TRUE(status.ok()) << status.message();
  return logits;
}

size_t Taken(Engine* engine) { return engine->kv_usage().pages_taken; }

TEST(Paging, AForkGoesOnAsIfItHadReadThePrefix) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {.threads = 2});
  const auto ids = RandomIds(300, 96, 1);
  const auto other = RandomIds(300, 96, 2);
  const SequenceId parent = engine->NewSequence();
  StepOne(engine.get(), parent, std::span(ids).first(200));
  EXPECT_EQ(Taken(engine.get()), 4u);
  // On a page's edge, inside the first page and a later one, all of it, nothing.
  for (const size_t length : {128u, 5u, 130u, 200u, 0u}) {
    auto whole = std::vector<uint32_t>(ids.begin(), ids.begin() + static_cast<int64_t>(length));
    whole.insert(whole.end(), other.begin(), other.begin() + 90);
    const SequenceId alone = engine->NewSequence();
    const auto want = StepOne(engine.get(), alone, whole);
    ASSERT_TRUE(engine->FreeSequence(alone).ok());
    const size_t before = Taken(engine.get());
    const auto fork = engine->ForkSequence(parent, length);
    ASSERT_TRUE(fork.ok()) << fork.status().message();
    EXPECT_EQ(*engine->SequenceLength(*fork), length);
    EXPECT_EQ(Taken(engine.get()), before + (length % 64 != 0 ? 1 : 0));
    const auto got = StepOne(engine.get(), *fork, std::span(other).first(90));
    EXPECT_EQ(0, std::memcmp(got.data(), &want[length * 96], got.size() * sizeof(float)));
    EXPECT_TRUE(engine->FreeSequence(*fork).ok());
    EXPECT_EQ(Taken(engine.get()), before);
  }
  // The parent has not noticed.
  const SequenceId alone = engine->NewSequence();
  const auto want = StepOne(engine.get(), alone, ids);
  const auto got = StepOne(engine.get(), parent, std::span(ids).subspan(200));
  EXPECT_EQ(0, std::memcmp(got.data(), &want[200 * size_t{96}], got.size() * sizeof(float)));
}

TEST(Paging, SharedPagesLiveAsLongAsAUser) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {});
  const auto ids = RandomIds(140, 96, 1);
  const SequenceId parent = engine->NewSequence();
  const auto all = StepOne(engine.get(), parent, ids);
  const auto fork = engine->ForkSequence(parent, 128);
  const auto forks_fork = engine->ForkSequence(*fork, 64);
  EXPECT_EQ(Taken(engine.get()), 3u);
  EXPECT_TRUE(engine->FreeSequence(parent).ok());
  EXPECT_EQ(Taken(engine.get()), 2u);
  StepOne(engine.get(), engine->NewSequence(), ids);  // takes the page that became free
  const auto got = StepOne(engine.get(), *fork, std::span(ids).subspan(128));
  EXPECT_EQ(0, std::memcmp(got.data(), &all[128 * size_t{96}], got.size() * sizeof(float)));
  EXPECT_TRUE(engine->FreeSequence(*fork).ok());
  EXPECT_EQ(Taken(engine.get()), 4u);
  EXPECT_TRUE(engine->FreeSequence(*forks_fork).ok());
  EXPECT_EQ(Taken(engine.get()), 3u);
}

TEST(Paging, ForksAreChecked) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {});
  EXPECT_EQ(engine->ForkSequence(7, 0).status().code(), StatusCode::kNotFound);
  const SequenceId id = engine->NewSequence();
  StepOne(engine.get(), id, RandomIds(3, 96, 1));
  const auto fork = engine->ForkSequence(id, 4);
  EXPECT_EQ(fork.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(fork.status().message().find("has 3 tokens, not 4"), std::string::npos);
}

TEST(Paging, TheLimitHolds) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {.kv_pages = 3});
  const auto ids = RandomIds(129, 96, 1);
  const SequenceId a = engine->NewSequence();
  const SequenceId b = engine->NewSequence();
  StepOne(engine.get(), a, std::span(ids).first(128));
  std::vector<float> logits;
  const std::vector<BatchItem> both = {{a, std::span(ids).first(1), kNoAdapter},
                                       {b, std::span(ids).first(1), kNoAdapter}};
  const Status status = engine->Step(both, LogitsMode::kLast, &logits);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("needs 2 pages of keys and values; 1 of 3 are free"),
            std::string::npos)
      << status.message();
  EXPECT_EQ(Taken(engine.get()), 2u);
  EXPECT_EQ(*engine->SequenceLength(a), 128u);
  StepOne(engine.get(), b, std::span(ids).first(1));
  EXPECT_EQ(engine->ForkSequence(a, 100).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(engine->ForkSequence(a, 64).ok());
  EXPECT_EQ(Taken(engine.get()), 3u);
  ASSERT_TRUE(engine->FreeSequence(b).ok());
  EXPECT_TRUE(engine->ForkSequence(a, 100).ok());
}

TEST(Paging, LogitsMustHaveTheirSize) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {});
  const auto ids = RandomIds(3, 96, 1);
  const BatchItem item = {engine->NewSequence(), ids, kNoAdapter};
  std::vector<float> logits(95);
  const Status status = engine->Step({&item, 1}, LogitsMode::kLast, std::span<float>(logits));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(*engine->SequenceLength(item.sequence), 0u);
}

TEST(Paging, AnAdapterMayGoWhileAStepRuns) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {.threads = 2});
  const RandomAdapter adapter(TinyConfig(), kAllModules, 4, 1);
  const auto ids = RandomIds(400, 96, 1);
  for (int round = 0; round < 20; ++round) {
    const auto id = engine->AddAdapter("a", adapter.targets);
    ASSERT_TRUE(id.ok());
    std::thread remover([&] { EXPECT_TRUE(engine->RemoveAdapter(*id).ok()); });
    const SequenceId sequence = engine->NewSequence();
    const BatchItem item = {sequence, ids, *id};
    std::vector<float> logits;
    const Status status = engine->Step({&item, 1}, LogitsMode::kLast, &logits);
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kNotFound);
    remover.join();
    ASSERT_TRUE(engine->FreeSequence(sequence).ok());
  }
}

#ifdef INFENG_COUNTS_ALLOCATIONS
TEST(Paging, TheSteadyStateAllocatesNothing) {
  for (const bool int8 : {false, true}) {
    const auto engine = OpenTiny(TinyModel(TinyConfig(), int8), {.threads = 2});
    const RandomAdapter adapter(TinyConfig(), kAllModules, 4, 1);
    const auto id = engine->AddAdapter("a", adapter.targets);
    ASSERT_TRUE(id.ok());
    const auto prompt = RandomIds(100, 96, 1);
    std::vector<float> logits(4 * 96);
    const auto generate = [&](bool count) {
      std::vector<SequenceId> sequences;
      for (int i = 0; i < 4; ++i) sequences.push_back(engine->NewSequence());
      // Decode steps with a piece of another's prompt in each.
      const size_t before = allocations.load();
      for (size_t step = 0; step < 90; ++step) {
        std::vector<BatchItem>::size_type n = 0;
        BatchItem batch[4];
        for (size_t i = 0; i < 4; ++i) {
          const auto ids = i == 3 ? std::span(prompt).first(5) : std::span(prompt).subspan(step, 1);
          batch[n++] = {sequences[i], ids, i % 2 == 0 ? kNoAdapter : *id};
        }
        const Status status = engine->Step({batch, n}, LogitsMode::kLast, std::span<float>(logits));
        ASSERT_TRUE(status.ok()) << status.message();
      }
      if (count) {
        EXPECT_EQ(allocations.load() - before, 0u);
      }
      for (const SequenceId sequence : sequences) {
        ASSERT_TRUE(engine->FreeSequence(sequence).ok());
      }
    };
    generate(false);
    generate(true);
  }
}
#else
TEST(Paging, TheSteadyStateAllocatesNothing) {
  GTEST_SKIP() << "allocations cannot be counted under ThreadSanitizer";
}
#endif

}  // namespace
}  // namespace infeng
