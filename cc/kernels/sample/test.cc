#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "cc/kernels/sample/philox.h"
#include "cc/kernels/sample/sample.h"

namespace infeng {
namespace {

using Words = std::array<uint32_t, 4>;

// The known answers of the generator's reference distribution (Random123, kat_vectors).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Argmax, LowestOfEquals) {
  EXPECT_EQ(*Argmax(std::vector<float>{1, 3, 2, 3}), 1u);
  EXPECT_EQ(*Argmax(std::vector<float>{-0.0f, 0.0f}), 0u);
  EXPECT_EQ(*Argmax(std::vector<float>{-INFINITY, -5}), 1u);
}

TEST(Argmax, RefusesNanAndNothing) {
  EXPECT_EQ(Argmax({}).status().code(), StatusCode::kInvalidArgument);
  const auto nan = Argmax(std::vector<float>{1, NAN});
  EXPECT_NE(nan.status().message().find("logit 1 is NaN"), std::string::npos);
}

std::vector<double> Frequencies(const std::vector<float>& logits, SampleParams params, int draws) {
  std::vector<double> counts(logits.size());
  for (int i = 0; i < draws; ++i) counts[*Sample(logits, params, static_cast<uint64_t>(i))] += 1;
  for (double& count : counts) count /= draws;
  return counts;
}

void ExpectShares(const std::vector<double>& got, std::vector<double> weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(got[i], weights[i] / total, 0.012) << i;
}

TEST(Sample, DrawsBySoftmax) {
  const std::vector<float> logits = {1.0f, 0.0f, 2.0f, -1.0f};
  ExpectShares(Frequencies(logits, {}, 20000), {std::exp(1.0), 1.0, std::exp(2.0), std::exp(-1.0)});
  ExpectShares(Frequencies(logits, {.temperature = 2.0f, .seed = 7}, 20000),
               {std::exp(0.5), 1.0, std::exp(1.0), std::exp(-0.5)});
}

TEST(Sample, Cuts) {
  const std::vector<float> logits = {std::log(1.0f), std::log(4.0f), std::log(3.0f),
                                     std::log(2.0f)};
  ExpectShares(Frequencies(logits, {.top_k = 2}, 20000), {0, 4, 3, 0});
  ExpectShares(Frequencies(logits, {.top_k = 4}, 20000), {1, 4, 3, 2});
  ExpectShares(Frequencies(logits, {.top_p = 0.65f}, 20000), {0, 4, 3, 0});
  ExpectShares(Frequencies(logits, {.top_p = 0.75f}, 20000), {0, 4, 3, 2});
  ExpectShares(Frequencies(logits, {.top_p = 1e-6f}, 100), {0, 4, 0, 0});
  ExpectShares(Frequencies(logits, {.min_p = 0.4f}, 20000), {0, 4, 3, 2});
  ExpectShares(Frequencies(logits, {.min_p = 1.0f}, 100), {0, 4, 0, 0});
  ExpectShares(Frequencies(logits, {.top_k = 3, .top_p = 0.5f}, 20000), {0, 4, 3, 0});
}

TEST(Sample, TiesGoToTheLowerId) {
  const std::vector<float> logits(1000, 1.5f);
  for (uint64_t position = 0; position < 100; ++position) {
    EXPECT_LT(*Sample(logits, {.top_k = 3}, position), 3u);
    EXPECT_EQ(*Sample(logits, {.top_p = 0.0005f}, position), 0u);
  }
}

TEST(Sample, DependsOnSeedAndPositionOnly) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(50000);
  for (float& logit : logits) logit = normal(random);
  std::vector<uint32_t> first;
  for (uint64_t i = 0; i < 20; ++i) {
    first.push_back(*Sample(logits, {.seed = 5 + (uint64_t{1} << 40)}, i));
  }
  for (uint64_t i = 20; i-- > 0;) {
    EXPECT_EQ(*Sample(logits, {.seed = 5 + (uint64_t{1} << 40)}, i), first[i]);
  }
  int same = 0;
  for (uint64_t i = 0; i < 20; ++i) same += *Sample(logits, {.seed = 5}, i) == first[i];
  EXPECT_LT(same, 10);
}

// What the header says, word by word: everything is weighed with std::exp and sorted whole.
uint32_t Plain(const std::vector<float>& logits, const SampleParams& params, double uniform) {
  struct Token {
    double logit, weight;
    uint32_t id;
  };
  const double highest = *std::max_element(logits.begin(), logits.end());
  const double temperature = params.temperature;
  std::vector<Token> tokens;
  for (uint32_t id = 0; id < logits.size(); ++id) {
    const double weight = std::exp((logits[id] - highest) / temperature);
    if (weight >= std::exp(-36.0) && weight >= static_cast<double>(params.min_p)) {
      tokens.push_back({logits[id], weight, id});
    }
  }
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const Token& a, const Token& b) { return a.logit > b.logit; });
  if (params.top_k > 0 && params.top_k < tokens.size()) tokens.resize(params.top_k);
  double total = 0, mass = 0, sum = 0;
  for (const Token& token : tokens) total += token.weight;
  size_t kept = 0;
  while (kept < tokens.size() && (params.top_p == 1.0f || mass < params.top_p * total)) {
    mass += tokens[kept++].weight;
  }
  for (size_t i = 0; i < kept; ++i) {
    sum += tokens[i].weight;
    if (sum > uniform * mass) return tokens[i].id;
  }
  return tokens[kept - 1].id;
}

TEST(Sample, IsWhatAPlainReferenceDraws) {
  std::mt19937 random(11);
  const auto uniform = [](uint64_t seed, uint64_t position) {
    const auto r = Philox4x32({static_cast<uint32_t>(position), 0, 0, 0},
                              {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    return static_cast<double>((uint64_t{r[0]} << 32 | r[1]) >> 11) * 0x1p-53;
  };
  for (const size_t size :
       {size_t{1}, size_t{7}, size_t{128}, size_t{129}, size_t{1000}, size_t{5003}}) {
    for (int round = 0; round < 60; ++round) {
      std::normal_distribution<float> normal(0, static_cast<float>(1 + round % 7));
      std::vector<float> logits(size);
      // Coarse steps: many are equal, and the lower id must come first.
      for (float& logit : logits) logit = std::round(normal(random) * 8) / 8;
      if (round % 5 == 0) logits[random() % size] = -INFINITY;
      if (*std::max_element(logits.begin(), logits.end()) == -INFINITY) continue;
      EXPECT_EQ(
          *Argmax(logits),
          static_cast<uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      SampleParams params = {.temperature = 0.1f + 0.3f * static_cast<float>(round % 6),
                             .seed = static_cast<uint64_t>(round)};
      params.top_k = round % 3 == 0 ? static_cast<uint32_t>(1 + random() % 50) : 0;
      params.top_p =
          round % 2 == 0 ? 0.05f + 0.9f * static_cast<float>(random() % 100) / 100 : 1.0f;
      params.min_p = round % 4 == 0 ? 0.02f : 0.0f;
      for (uint64_t position = 0; position < 8; ++position) {
        EXPECT_EQ(*Sample(logits, params, position),
                  Plain(logits, params, uniform(params.seed, position)))
            << size << " " << round << " " << position;
      }
    }
  }
}

// The ids are part of what the module promises: they must not change from build to build.
TEST(Sample, GoldenIds) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 37 % 101) / 16.0f;
  std::vector<uint32_t> ids;
  for (uint64_t i = 0; i < 6; ++i) {
    ids.push_back(*Sample(logits, {.temperature = 0.7f, .top_p = 0.9f, .seed = 42}, i));
  }
  EXPECT_EQ(ids, (std::vector<uint32_t>{977, 649, 278, 966, 827, 726}));
}

TEST(Sample, MinusInfinityIsNeverDrawn) {
  const std::vector<float> logits = {-INFINITY, 0, -INFINITY};
  for (uint64_t i = 0; i < 50; ++i) EXPECT_EQ(*Sample(logits, {.temperature = 100.0f}, i), 1u);
}

TEST(Logprobs, AreLogSoftmax) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 4);
  std::vector<float> logits(3000);
  for (float& logit : logits) logit = normal(random);
  logits[7] = -INFINITY;
  logits[9] = logits[2000] = 20.0f;  // equals: the lower id first
  const auto found = Logprobs(logits, 5, 4);
  ASSERT_TRUE(found.ok()) << found.status().message();
  ASSERT_EQ(found->size(), 5u);
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  for (const TokenLogprob& token : *found) {
    EXPECT_NEAR(token.logprob, logits[token.id] - std::log(total), 1e-12);
  }
  EXPECT_EQ((*found)[0].id, 5u);
  EXPECT_EQ((*found)[1].id, 9u);
  EXPECT_EQ((*found)[2].id, 2000u);
  EXPECT_GE((*found)[3].logprob, (*found)[4].logprob);
  EXPECT_EQ((*Logprobs(logits, 7, 0))[0].logprob, -INFINITY);
  EXPECT_EQ((*Logprobs(std::vector<float>{2.5f}, 0, 9)).size(), 2u);
  EXPECT_EQ((*Logprobs(std::vector<float>{2.5f}, 0, 9))[0].logprob, 0.0);
  EXPECT_FALSE(Logprobs(logits, 3000, 1).ok());
  EXPECT_FALSE(Logprobs(std::vector<float>{NAN}, 0, 1).ok());
}

TEST(Sample, RefusesBadInput) {
  const std::vector<float> logits = {1, 2};
  const auto message = [&](SampleParams params) {
    const auto result = Sample(logits, params, 0);
    return result.ok() ? "ok" : result.status().message();
  };
  EXPECT_EQ(message({}), "ok");
  for (const float t : {0.0f, -1.0f, NAN, INFINITY}) {
    EXPECT_EQ(message({.temperature = t}).find("temperature"), 0u) << t;
  }
  for (const float p : {0.0f, -0.1f, 1.1f, NAN}) EXPECT_EQ(message({.top_p = p}).find("top_p"), 0u);
  for (const float p : {-0.1f, 1.1f, NAN}) EXPECT_EQ(message({.min_p = p}).find("min_p"), 0u);
  EXPECT_FALSE(Sample({}, {}, 0).ok());
  EXPECT_FALSE(Sample(std::vector<float>{1, NAN}, {}, 0).ok());
  EXPECT_FALSE(Sample(std::vector<float>{1, INFINITY}, {}, 0).ok());
  EXPECT_FALSE(Sample(std::vector<float>{-INFINITY}, {}, 0).ok());
}

}  // namespace
}  // namespace infeng
