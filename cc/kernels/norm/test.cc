#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cc/cpu/testing.h"
#include "cc/kernels/norm/norm.h"

namespace infeng {
namespace {

std::vector<float> RandomRows(size_t rows, size_t n, size_t stride, float scale, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> x(rows * stride);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < n; ++i) x[row * stride + i] = normal(random);
  }
  return x;
}

class Norm : public ::testing::TestWithParam<Tier> {
 protected:
  void SetUp() override {
    if (const std::string reason = SkipReason(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
  }
  static std::vector<float> Run(Tier tier, const std::vector<float>& x,
                                const std::vector<float>& weight, size_t rows, size_t n) {
    const size_t stride = (n + 15) / 16 * 16;
    std::vector<float> y(x.size(), -1.0f);
    NormKernels(tier).rms_norm(
        {x.data(), stride, weight.data(), n, 1e-5f, y.data(), stride, 0, rows});
    return y;
  }
};

INSTANTIATE_TEST_SUITE_P(Tiers, Norm, ::testing::ValuesIn(AllTiers()),
                         [](const auto& info) { return TierName(info.param); });

TEST_P(Norm, EqualsScalarAndTheTrueValue) {
  for (const size_t n : {1u, 2u, 15u, 16u, 17u, 64u, 100u, 576u}) {
    for (const float scale : {1e-42f, 1e-20f, 1e-3f, 1.0f, 1e4f}) {
      const size_t stride = (n + 15) / 16 * 16;
      const auto x = RandomRows(3, n, stride, scale, static_cast<uint32_t>(n));
      const auto weight = RandomRows(1, n, stride, 1.0f, 77);
      const auto y = Run(GetParam(), x, weight, 3, n);
      const auto scalar = Run(Tier::kScalar, x, weight, 3, n);
      ASSERT_EQ(0, std::memcmp(y.data(), scalar.data(), y.size() * sizeof(float))) << n;
      for (size_t row = 0; row < 3; ++row) {
        double sum = 0;
        for (size_t i = 0; i < n; ++i) sum += std::pow(double{x[row * stride + i]}, 2);
        const double factor = 1 / std::sqrt(sum / static_cast<double>(n) + 1e-5);
        for (size_t i = 0; i < n; ++i) {
          const double want = x[row * stride + i] * factor * weight[i];
          ASSERT_NEAR(y[row * stride + i], want, std::abs(want) * 1e-6 + 1e-44);
        }
      }
    }
  }
}

TEST_P(Norm, ZeroRowStaysZeroAndRangesHold) {
  std::vector<float> x(3 * 16);
  for (size_t i = 0; i < 16; ++i) x[16 + i] = static_cast<float>(i);
  const std::vector<float> weight(16, 2.0f);
  std::vector<float> y(3 * 16, -1.0f);
  NormKernels(GetParam()).rms_norm({x.data(), 16, weight.data(), 16, 1e-5f, y.data(), 16, 0, 2});
  for (size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(y[i], 0.0f);
    EXPECT_EQ(y[32 + i], -1.0f);  // outside the range of rows
  }
}

TEST_P(Norm, NanAndOverflowAreSeen) {
  std::vector<float> x(16, 1.0f);
  const std::vector<float> weight(16, 1.0f);
  x[3] = NAN;
  EXPECT_TRUE(std::isnan(Run(GetParam(), x, weight, 1, 16)[0]));
}

}  // namespace
}  // namespace infeng
