// One request's logits are the same bits whatever happens around it (docs: the numeric contract).

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "cc/cpu/testing.h"
#include "cc/engine/fixture.h"

namespace infeng {
namespace {

const std::vector<std::string> kAllModules = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                              "gate_proj", "up_proj", "down_proj"};

struct Request {
  std::vector<uint32_t> ids;
  int adapter;  // index, or -1
  std::vector<float> logits;
};

enum class Weights { kF32, kInt8, kInt4 };

const char* WeightsName(Weights weights) {
  return weights == Weights::kF32 ? "f32" : weights == Weights::kInt8 ? "int8" : "int4";
}

struct Config {
  Weights weights;
  bool odd;  // sizes
  KvDtype kv;
};

constexpr Config kConfigs[] = {
    {Weights::kInt8, false, KvDtype::kInt8}, {Weights::kInt8, true, KvDtype::kInt8},
    {Weights::kInt4, false, KvDtype::kInt8}, {Weights::kInt4, true, KvDtype::kF16},
    {Weights::kF32, false, KvDtype::kInt8},  {Weights::kF32, true, KvDtype::kInt8},
    {Weights::kInt8, true, KvDtype::kF16},   {Weights::kF32, false, KvDtype::kF16},
    {Weights::kF32, false, KvDtype::kInt4},  {Weights::kF32, true, KvDtype::kInt4},
};

using Params = std::tuple<Tier, Config>;

class Equality : public ::testing::TestWithParam<Params> {
 protected:
  void SetUp() override {
    const auto& [tier, config] = GetParam();
    if (const std::string reason = SkipReason(tier); !reason.empty()) GTEST_SKIP() << reason;
    config_ = config.odd ? OddConfig() : TinyConfig();
    path_ = TinyModel(config_, config.weights != Weights::kF32, config.weights == Weights::kInt4);
    adapters_.emplace_back(config_, kAllModules, 4, 11);
    adapters_.emplace_back(config_, std::vector<std::string>{"q_proj", "v_proj"}, 17, 12);
    adapters_.emplace_back(config_, std::vector<std::string>{"gate_proj", "down_proj"}, 1, 13);
    // Lengths around a page, a chunk, and more than one pass of the model.
    const std::vector<std::pair<size_t, int>> shapes = {{300, -1}, {65, 0}, {257, 1}, {1, 2},
                                                        {40, -1},  {64, 2}, {270, 0}};
    for (size_t i = 0; i < shapes.size(); ++i) {
      const auto vocab = static_cast<size_t>(config_.vocab_size);
      requests_.push_back(
          {RandomIds(shapes[i].first, vocab, static_cast<uint32_t>(i)), shapes[i].second, {}});
    }
    // The standard that all are held to: alone, whole, one thread, scalar.
    const auto engine = Open("scalar", 1, config.kv);
    for (Request& request : requests_) {
      const SequenceId id = engine->NewSequence();
      const BatchItem item = {id, request.ids, AdapterOf(request)};
      const Status status = engine->Step({&item, 1}, LogitsMode::kAll, &request.logits);
      ASSERT_TRUE(status.ok()) << status.message();
    }
  }

  std::unique_ptr<Engine> Open(const std::string& tier, int threads, KvDtype kv) {
    auto engine = OpenTiny(path_, {threads, tier, kv});
    for (size_t i = 0; i < adapters_.size(); ++i) {
      const auto id = engine->AddAdapter("adapter" + std::to_string(i), adapters_[i].targets);
      EXPECT_TRUE(id.ok()) << id.status().message();
      if (id.ok()) adapter_ids_[i] = *id;
    }
    return engine;
  }

  AdapterId AdapterOf(const Request& request) const {
    return request.adapter < 0 ? kNoAdapter : adapter_ids_[static_cast<size_t>(request.adapter)];
  }

  // Compares rows with those of a request from `position` on.
  void ExpectRows(const Request& request, size_t position, const float* rows, size_t count) {
    const auto vocab = static_cast<size_t>(config_.vocab_size);
    const float* want = request.logits.data() + position * vocab;
    ASSERT_EQ(0, std::memcmp(rows, want, count * vocab * sizeof(float)))
        << "request of " << request.ids.size() << " ids, adapter " << request.adapter << ", rows "
        << position << " to " << position + count;
  }

  // Feeds all requests in random pieces, in batches of random composition and order.
  void RunSchedule(Engine* engine, uint32_t seed) {
    std::mt19937 random(seed);
    const size_t vocab = engine->vocab_size();
    std::vector<SequenceId> sequences;
    std::vector<size_t> done(requests_.size());
    for (size_t i = 0; i < requests_.size(); ++i) sequences.push_back(engine->NewSequence());
    std::vector<float> logits;
    while (true) {
      std::vector<size_t> open;
      for (size_t i = 0; i < requests_.size(); ++i) {
        if (done[i] < requests_[i].ids.size()) open.push_back(i);
      }
      if (open.empty()) break;
      std::shuffle(open.begin(), open.end(), random);
      open.resize(1 + random() % open.size());
      std::vector<BatchItem> batch;
      for (const size_t i : open) {
        const size_t left = requests_[i].ids.size() - done[i];
        const size_t longest = std::vector<size_t>{1, 7, 80, 300}[random() % 4];
        const size_t count = 1 + random() % std::min(left, longest);
        batch.push_back({sequences[i], std::span(requests_[i].ids).subspan(done[i], count),
                         AdapterOf(requests_[i])});
      }
      const LogitsMode mode = random() % 2 == 0 ? LogitsMode::kAll : LogitsMode::kLast;
      const Status status = engine->Step(batch, mode, &logits);
      ASSERT_TRUE(status.ok()) << status.message();
      const float* row = logits.data();
      for (size_t b = 0; b < batch.size(); ++b) {
        const size_t count = batch[b].ids.size();
        const size_t rows = mode == LogitsMode::kAll ? count : 1;
        ExpectRows(requests_[open[b]], done[open[b]] + count - rows, row, rows);
        row += rows * vocab;
        done[open[b]] += count;
      }
      ASSERT_EQ(row, logits.data() + logits.size());
    }
    for (const SequenceId id : sequences) ASSERT_TRUE(engine->FreeSequence(id).ok());
    ASSERT_EQ(engine->kv_bytes(), 0u);
  }

  ModelConfig config_;
  std::string path_;
  std::vector<RandomAdapter> adapters_;
  AdapterId adapter_ids_[3] = {};
  std::vector<Request> requests_;
};

std::string ParamsName(const ::testing::TestParamInfo<Params>& info) {
  const auto& [tier, config] = info.param;
  return std::string(TierName(tier)) + "_" + WeightsName(config.weights) +
         (config.odd ? "_odd" : "") + "_kv_" + KvDtypeName(config.kv);
}

INSTANTIATE_TEST_SUITE_P(All, Equality,
                         ::testing::Combine(::testing::ValuesIn(AllTiers()),
                                            ::testing::ValuesIn(kConfigs)),
                         ParamsName);

TEST_P(Equality, RandomSchedulesOnAnyThreads) {
  for (const int threads : {1, 2, 4}) {
    const auto engine =
        Open(TierName(std::get<0>(GetParam())), threads, std::get<1>(GetParam()).kv);
    ASSERT_EQ(engine->threads(), threads);
    // The second schedule meets pages that others have used.
    for (uint32_t seed = 0; seed < 2; ++seed) {
      RunSchedule(engine.get(), seed + 10 * static_cast<uint32_t>(threads));
    }
  }
}

TEST_P(Equality, OneByOneEqualsWhole) {
  const auto engine = Open(TierName(std::get<0>(GetParam())), 2, std::get<1>(GetParam()).kv);
  const Request& request = requests_[2];
  const SequenceId id = engine->NewSequence();
  std::vector<float> logits;
  for (size_t i = 0; i < request.ids.size(); ++i) {
    const BatchItem item = {id, std::span(request.ids).subspan(i, 1), AdapterOf(request)};
    ASSERT_TRUE(engine->Step({&item, 1}, LogitsMode::kLast, &logits).ok());
    ExpectRows(request, i, logits.data(), 1);
  }
}

TEST_P(Equality, F32CacheIsTheSameOnAllTiersToo) {
  std::vector<std::vector<float>> logits(2);
  for (const size_t i : {0u, 1u}) {
    const auto engine = Open(i == 0 ? "scalar" : TierName(std::get<0>(GetParam())),
                             1 + static_cast<int>(i), KvDtype::kF32);
    const BatchItem item = {engine->NewSequence(), requests_[0].ids, kNoAdapter};
    ASSERT_TRUE(engine->Step({&item, 1}, LogitsMode::kAll, &logits[i]).ok());
  }
  EXPECT_EQ(0, std::memcmp(logits[0].data(), logits[1].data(), logits[0].size() * sizeof(float)));
  // And it is another computation than that with binary16.
  EXPECT_NE(0, std::memcmp(logits[0].data(), requests_[0].logits.data(),
                           logits[0].size() * sizeof(float)));
}

}  // namespace
}  // namespace infeng
