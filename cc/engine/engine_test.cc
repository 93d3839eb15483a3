#include "cc/engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "cc/engine/fixture.h"
#include "cc/engine/reference.h"

namespace infeng {
namespace {

const std::vector<std::string> kAllModules = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                              "gate_proj", "up_proj", "down_proj"};

bool Contains(const Status& status, const std::string& text) {
  return status.message().find(text) != std::string::npos;
}

std::vector<float> StepOne(Engine* engine, SequenceId id, const std::vector<uint32_t>& ids,
                           AdapterId adapter = kNoAdapter, LogitsMode mode = LogitsMode::kAll) {
  const BatchItem item = {id, ids, adapter};
  std::vector<float> logits;
  const Status status = engine->Step({&item, 1}, mode, &logits);
  EXPECT_TRUE(status.ok()) << status.message();
  return logits;
}

// Root mean square of the difference, relative to that of the reference.
double RelativeError(const std::vector<float>& got, const std::vector<double>& want) {
  EXPECT_EQ(got.size(), want.size());
  double difference = 0;
  double size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += std::pow(got[i] - want[i], 2);
    size += std::pow(want[i], 2);
  }
  return std::sqrt(difference / size);
}

TEST(Engine, ComputesTheModel) {
  for (const ModelConfig& config : {TinyConfig(), OddConfig()}) {
    const RandomAdapter adapter(config, kAllModules, 5, 3);
    for (const auto& [int8, int4] : {std::pair{false, false}, {true, false}, {true, true}}) {
      const auto engine =
          OpenTiny(TinyModel(config, int8, int4), {.threads = 2, .kv_dtype = KvDtype::kF32});
      const auto ids = RandomIds(90, engine->vocab_size(), 4);
      const double tolerance = int8 ? 0.02 : 2e-6;
      const auto plain = StepOne(engine.get(), engine->NewSequence(), ids);
      const auto want = ReferenceLogits(engine->file(), ids, {});
      EXPECT_LT(RelativeError(plain, want), tolerance);
      const auto id = engine->AddAdapter("a", adapter.targets);
      ASSERT_TRUE(id.ok()) << id.status().message();
      const auto adapted = StepOne(engine.get(), engine->NewSequence(), ids, *id);
      EXPECT_LT(RelativeError(adapted, ReferenceLogits(engine->file(), ids, adapter.targets)),
                tolerance);
      EXPECT_GT(RelativeError(adapted, want), 0.1);  // the adapter does something
    }
  }
}

TEST(Engine, SmallerCachesAreCloseToF32) {
  const std::string path = TinyModel(TinyConfig(), false);
  const auto wide = OpenTiny(path, {.kv_dtype = KvDtype::kF32});
  const auto ids = RandomIds(90, wide->vocab_size(), 4);
  StepOne(wide.get(), wide->NewSequence(), ids);
  for (const auto& [dtype, tolerance, most] : {std::tuple{KvDtype::kF16, 1e-3, 0.5},
                                               {KvDtype::kInt8, 1e-2, 0.4},
                                               {KvDtype::kInt4, 2e-1, 0.35}}) {
    const auto engine = OpenTiny(path, {.kv_dtype = dtype});
    const auto logits = StepOne(engine.get(), engine->NewSequence(), ids);
    EXPECT_LT(RelativeError(logits, ReferenceLogits(engine->file(), ids, {})), tolerance);
    EXPECT_LE(static_cast<double>(engine->kv_bytes()),
              most * static_cast<double>(wide->kv_bytes()));
  }
}

TEST(Engine, LastLogitsAreTheLastRows) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {});
  const auto a = RandomIds(300, 96, 1);
  const auto b = RandomIds(3, 96, 2);
  const auto all_a = StepOne(engine.get(), engine->NewSequence(), a);
  const auto all_b = StepOne(engine.get(), engine->NewSequence(), b);
  const std::vector<BatchItem> batch = {{engine->NewSequence(), a, kNoAdapter},
                                        {engine->NewSequence(), b, kNoAdapter}};
  std::vector<float> last;
  ASSERT_TRUE(engine->Step(batch, LogitsMode::kLast, &last).ok());
  ASSERT_EQ(last.size(), 2 * 96u);
  EXPECT_EQ(0, std::memcmp(&last[0], &all_a[299 * 96], 96 * sizeof(float)));
  EXPECT_EQ(0, std::memcmp(&last[96], &all_b[2 * 96], 96 * sizeof(float)));
}

TEST(Engine, EmptyBatchGivesNothing) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {});
  std::vector<float> logits(5);
  EXPECT_TRUE(engine->Step({}, LogitsMode::kAll, &logits).ok());
  EXPECT_TRUE(logits.empty());
}

TEST(Engine, RefusesBadBatchesAndChangesNothing) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {.threads = 2});
  const SequenceId good = engine->NewSequence();
  const SequenceId other = engine->NewSequence();
  const auto ids = RandomIds(70, 96, 3);
  const auto all = StepOne(engine.get(), engine->NewSequence(), RandomIds(72, 96, 3));
  StepOne(engine.get(), good, ids);
  const size_t kv_bytes = engine->kv_bytes();

  const std::vector<uint32_t> none;
  const std::vector<uint32_t> outside = {3, 96};
  const std::vector<uint32_t> one = {1};
  const std::vector<uint32_t> long_ids(443, 1);
  const std::vector<uint32_t> fits(442, 1);
  const auto expect = [&](const std::vector<BatchItem>& batch, StatusCode code,
                          const std::string& text) {
    std::vector<float> logits(3);
    const Status status = engine->Step(batch, LogitsMode::kLast, &logits);
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_TRUE(Contains(status, text)) << status.message();
    EXPECT_TRUE(logits.empty());
    EXPECT_EQ(*engine->SequenceLength(good), 70u);
    EXPECT_EQ(*engine->SequenceLength(other), 0u);
    EXPECT_EQ(engine->kv_bytes(), kv_bytes);
  };
  const BatchItem fine = {other, one, kNoAdapter};
  expect({fine, {999, one, kNoAdapter}}, StatusCode::kNotFound,
         "batch[1], sequence 999: no sequence has this id");
  expect({fine, {good, one, 7}}, StatusCode::kNotFound, "no adapter has id 7");
  expect({fine, {good, none, kNoAdapter}}, StatusCode::kInvalidArgument, "there are no ids");
  expect({fine, {good, outside, kNoAdapter}}, StatusCode::kInvalidArgument,
         "ids[1] is 96, the vocabulary has 96");
  expect({fine, {good, long_ids, kNoAdapter}}, StatusCode::kInvalidArgument,
         "70 + 443 tokens are more than the model's 512 positions");
  expect({fine, {other, one, kNoAdapter}}, StatusCode::kInvalidArgument, "in the batch twice");

  // And goes on as if nothing had been.
  const auto next = RandomIds(72, 96, 3);
  const auto rest = StepOne(engine.get(), good, {next.begin() + 70, next.end()});
  EXPECT_EQ(0, std::memcmp(rest.data(), &all[70 * 96], 2 * 96 * sizeof(float)));
  // Up to the last position is fine.
  const auto full = engine->NewSequence();
  StepOne(engine.get(), full, ids, kNoAdapter, LogitsMode::kLast);
  StepOne(engine.get(), full, fits, kNoAdapter, LogitsMode::kLast);
  EXPECT_EQ(*engine->SequenceLength(full), 512u);
}

TEST(Engine, NotFiniteLogitsAreAnError) {
  for (const bool int8 : {false, true}) {
    const auto engine = OpenTiny(TinyModel(TinyConfig(), int8), {});
    RandomAdapter adapter(TinyConfig(), {"down_proj"}, 2, 3);
    for (auto& target : adapter.targets) target.scale = 3e38f;
    const auto id = engine->AddAdapter("huge", adapter.targets);
    ASSERT_TRUE(id.ok());
    const SequenceId sequence = engine->NewSequence();
    const SequenceId mate = engine->NewSequence();
    const auto ids = RandomIds(10, 96, 1);
    const std::vector<BatchItem> batch = {{mate, ids, kNoAdapter}, {sequence, ids, *id}};
    std::vector<float> logits;
    const Status status = engine->Step(batch, LogitsMode::kLast, &logits);
    EXPECT_EQ(status.code(), StatusCode::kInternal);
    EXPECT_TRUE(Contains(status, "not finite")) << status.message();
    EXPECT_EQ(*engine->SequenceLength(sequence), 0u);
    EXPECT_EQ(*engine->SequenceLength(mate), 0u);
    EXPECT_EQ(engine->kv_bytes(), 0u);
    StepOne(engine.get(), sequence, ids);
  }
}

TEST(Engine, SequencesComeAndGo) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {});
  const auto ids = RandomIds(65, 96, 1);
  const SequenceId first = engine->NewSequence();
  const auto before = StepOne(engine.get(), first, ids);
  const size_t kv_bytes = engine->kv_bytes();
  // Two pages of 2 layers and 2 key-value heads.
  EXPECT_EQ(kv_bytes, 2u * 2 * 2 * MakeKvBlock(KvDtype::kInt8, 16).bytes);
  EXPECT_TRUE(engine->FreeSequence(first).ok());
  EXPECT_EQ(engine->kv_bytes(), 0u);
  EXPECT_EQ(engine->FreeSequence(first).code(), StatusCode::kNotFound);
  EXPECT_EQ(engine->SequenceLength(first).status().code(), StatusCode::kNotFound);
  const SequenceId second = engine->NewSequence();
  EXPECT_NE(second, first);
  const auto after = StepOne(engine.get(), second, ids);
  EXPECT_EQ(before, after);
  EXPECT_EQ(engine->kv_bytes(), kv_bytes);
}

TEST(Engine, AdaptersAreChecked) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {});
  const RandomAdapter good(TinyConfig(), {"q_proj"}, 4, 1);
  const auto expect = [&](std::vector<AdapterTarget> targets, const std::string& text) {
    const auto id = engine->AddAdapter("bad", targets);
    EXPECT_EQ(id.status().code(), StatusCode::kInvalidArgument);
    EXPECT_TRUE(Contains(id.status(), text)) << id.status().message();
  };
  const auto changed = [&](auto change) {
    std::vector<AdapterTarget> targets = good.targets;
    change(&targets[1]);
    return targets;
  };
  std::vector<float> nan(4 * 64, 0.0f);
  nan[77] = NAN;
  expect({}, "adapter 'bad' has no target");
  expect(changed([](auto* t) { t->module = "qkv_proj"; }), "no module is called 'qkv_proj'");
  expect(changed([](auto* t) { t->layer = 2; }), "layer 2, q_proj: the model has layers 0 to 1");
  expect(changed([](auto* t) { t->layer = 0; }), "layer 0, q_proj: the target occurs twice");
  expect(changed([](auto* t) { t->rank = 0; }), "layer 1, q_proj: rank 0 is not within 1..256");
  expect(changed([](auto* t) { t->rank = 257; }), "rank 257");
  expect(changed([](auto* t) { t->rank = 5; }), "A has 256 values where");
  expect(changed([](auto* t) { t->module = "down_proj"; }), "layer 1, down_proj: A has 256");
  expect(changed([](auto* t) { t->b = t->b.first(9); }), "B has 9 values where");
  expect(changed([](auto* t) { t->scale = INFINITY; }), "scale is not finite");
  expect(changed([&](auto* t) { t->a = nan; }),
         "layer 1, q_proj: A has a value that is not finite");

  const auto id = engine->AddAdapter("good", good.targets);
  ASSERT_TRUE(id.ok());
  EXPECT_TRUE(Contains(engine->AddAdapter("good", good.targets).status(), "called 'good' already"));
  EXPECT_TRUE(engine->RemoveAdapter(*id).ok());
  EXPECT_EQ(engine->RemoveAdapter(*id).code(), StatusCode::kNotFound);
  EXPECT_EQ(engine->RemoveAdapter(kNoAdapter).code(), StatusCode::kNotFound);
  EXPECT_TRUE(engine->AddAdapter("good", good.targets).ok());
}

TEST(Engine, GreatestRankWorks) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), false), {.kv_dtype = KvDtype::kF32});
  const RandomAdapter adapter(TinyConfig(), {"up_proj"}, kMaxRank, 1);
  const auto id = engine->AddAdapter("wide", adapter.targets);
  ASSERT_TRUE(id.ok());
  const auto ids = RandomIds(20, 96, 2);
  EXPECT_LT(RelativeError(StepOne(engine.get(), engine->NewSequence(), ids, *id),
                          ReferenceLogits(engine->file(), ids, adapter.targets)),
            2e-6);
}

TEST(Engine, OptionsAreChecked) {
  const std::string path = TinyModel(TinyConfig(), true);
  const auto expect = [&](const EngineOptions& options, const std::string& text) {
    const auto engine = Engine::Open(path, options);
    EXPECT_EQ(engine.status().code(), StatusCode::kInvalidArgument);
    EXPECT_TRUE(Contains(engine.status(), text)) << engine.status().message();
  };
  expect({.threads = -1}, "threads -1 is not within 0..256");
  expect({.threads = 257}, "threads 257");
  expect({.force_path = "sse9"}, "sse9");
  EXPECT_FALSE(ParseKvDtype("int3").ok());
  EXPECT_EQ(Engine::Open("/no/such.infq", {}).status().code(), StatusCode::kNotFound);
  EXPECT_GE(OpenTiny(path, {})->threads(), 1);
}

TEST(Engine, ShapesThatKernelsDoNotTakeAreRefused) {
  ModelConfig config = TinyConfig();
  config.head_dim = 258;
  auto engine = Engine::Open(TinyModel(config, false), {});
  EXPECT_TRUE(Contains(engine.status(), "head_dim 258")) << engine.status().message();
  config = TinyConfig();
  config.rope_theta = 0.5;
  engine = Engine::Open(TinyModel(config, false), {});
  EXPECT_TRUE(Contains(engine.status(), "rope_theta")) << engine.status().message();
}

TEST(Engine, ThreadsMayShareIt) {
  const auto engine = OpenTiny(TinyModel(TinyConfig(), true), {.threads = 2});
  const auto ids = RandomIds(40, 96, 5);
  const auto want = StepOne(engine.get(), engine->NewSequence(), ids);
  const RandomAdapter adapter(TinyConfig(), {"q_proj"}, 4, 1);
  std::vector<std::thread> threads;
  std::vector<int> good(4);
  for (size_t t = 0; t < good.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 20; ++round) {
        const auto name = std::to_string(t) + "/" + std::to_string(round);
        const auto id = engine->AddAdapter(name, adapter.targets);
        const SequenceId sequence = engine->NewSequence();
        good[t] += StepOne(engine.get(), sequence, ids) == want ? 1 : 0;
        good[t] += engine->FreeSequence(sequence).ok() && engine->RemoveAdapter(*id).ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, std::vector<int>(4, 40));
}

}  // namespace
}  // namespace infeng
