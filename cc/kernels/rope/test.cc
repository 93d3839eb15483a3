#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "cc/cpu/testing.h"
#include "cc/kernels/rope/rope.h"

namespace infeng {
namespace {

struct Input {
  size_t heads, dim, padded;
  std::vector<float> x, cos, sin;

  Input(size_t heads, size_t dim, uint32_t seed)
      : heads(heads), dim(dim), padded((dim + 15) / 16 * 16), x(heads * dim) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (float& v : x) v = normal(random);
    for (size_t i = 0; i < dim / 2; ++i) {
      const float angle = normal(random) * 10;
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
  }

  std::vector<float> Run(Tier tier) const {
    std::vector<float> y(heads * padded, 9.0f);
    RopeKernels(tier).rope({x.data(), heads, dim, cos.data(), sin.data(), y.data(), padded});
    return y;
  }
};

class Rope : public ::testing::TestWithParam<Tier> {
 protected:
  void SetUp() override {
    if (const std::string reason = SkipReason(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
  }
};

INSTANTIATE_TEST_SUITE_P(Tiers, Rope, ::testing::ValuesIn(AllTiers()),
                         [](const auto& info) { return TierName(info.param); });

TEST_P(Rope, EqualsScalarAndTheFormula) {
  for (const size_t heads : {0u, 1u, 3u}) {
    for (const size_t dim : {2u, 6u, 16u, 20u, 32u, 48u, 64u, 80u, 96u, 128u, 256u}) {
      const Input input(heads, dim, static_cast<uint32_t>(dim));
      const auto y = input.Run(GetParam());
      const auto scalar = input.Run(Tier::kScalar);
      if (heads == 0) continue;  // it has touched nothing, or the sanitizers say so
      ASSERT_EQ(0, std::memcmp(y.data(), scalar.data(), y.size() * sizeof(float))) << dim;
      for (size_t h = 0; h < heads; ++h) {
        const float* x = &input.x[h * dim];
        const float* out = &y[h * input.padded];
        const size_t half = dim / 2;
        for (size_t i = 0; i < half; ++i) {
          const float c = input.cos[i];
          const float s = input.sin[i];
          ASSERT_EQ(out[i], std::fma(x[i], c, -(x[i + half] * s)));
          ASSERT_EQ(out[i + half], std::fma(x[i + half], c, x[i] * s));
        }
        for (size_t i = dim; i < input.padded; ++i) ASSERT_EQ(out[i], 0.0f);
      }
    }
  }
}

}  // namespace
}  // namespace infeng
