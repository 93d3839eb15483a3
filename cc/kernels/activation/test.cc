#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cc/cpu/testing.h"
#include "cc/kernels/activation/activation.h"

namespace infeng {
namespace {

class Activation : public ::testing::TestWithParam<Tier> {
 protected:
  void SetUp() override {
    if (const std::string reason = SkipReason(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
    kernels = &ActivationKernels(GetParam());
  }
  const ActivationTier* kernels = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Tiers, Activation, ::testing::ValuesIn(AllTiers()),
                         [](const auto& info) { return TierName(info.param); });

// Every `step`-th float from zero to `last` by bit pattern, with the given sign.
std::vector<float> Floats(float last, bool negative, uint32_t step) {
  std::vector<float> x;
  for (uint32_t bits = 0; bits <= std::bit_cast<uint32_t>(last); bits += step) {
    x.push_back(std::bit_cast<float>(bits | (negative ? 0x80000000u : 0u)));
  }
  return x;
}

// Units in the last place between a result and the true value, which is within f32's range.
double UlpError(float got, double want) {
  const float nearest = static_cast<float>(want);
  int exponent = 0;
  std::frexp(nearest, &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::abs(static_cast<double>(got) - want) / ulp;
}

TEST_P(Activation, ExpIsWithinOneUlp) {
  double worst = 0;
  for (const bool negative : {false, true}) {
    const auto x = Floats(negative ? 104.0f : 88.7f, negative, 1009);
    std::vector<float> y(x.size());
    kernels->exp(x.data(), y.data(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      worst = std::max(worst, UlpError(y[i], std::exp(double{x[i]})));
    }
  }
  EXPECT_LT(worst, 1.0);
  RecordProperty("worst_ulp", std::to_string(worst));
}

TEST_P(Activation, ExpEqualsScalar) {
  for (const bool negative : {false, true}) {
    const auto x = Floats(std::numeric_limits<float>::infinity(), negative, 997);
    std::vector<float> y(x.size());
    std::vector<float> scalar(x.size());
    kernels->exp(x.data(), y.data(), x.size());
    ActivationKernels(Tier::kScalar).exp(x.data(), scalar.data(), x.size());
    ASSERT_EQ(0, std::memcmp(y.data(), scalar.data(), y.size() * sizeof(float)));
  }
}

TEST_P(Activation, ExpEdges) {
  const float x[] = {0.0f, -0.0f, INFINITY, -INFINITY, 88.7228f, 1000.0f, -1000.0f, -104.0f, NAN};
  float y[9];
  kernels->exp(x, y, 9);
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y[1], 1.0f);
  EXPECT_EQ(y[2], INFINITY);
  EXPECT_EQ(y[3], 0.0f);
  EXPECT_LT(y[4], INFINITY);
  EXPECT_EQ(y[5], INFINITY);
  EXPECT_EQ(y[6], 0.0f);
  EXPECT_EQ(y[7], 0.0f);
  EXPECT_TRUE(std::isnan(y[8]));
}

TEST_P(Activation, SwiGluEqualsScalarAndTheTrueValue) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  constexpr size_t kStride = 48;
  constexpr size_t kRows = 50;
  std::vector<float> gate(kRows * kStride);
  std::vector<float> up(gate.size());
  for (size_t i = 0; i < gate.size(); ++i) {
    gate[i] = normal(random) * std::exp(2 * normal(random));
    up[i] = normal(random);
  }
  gate[0] = -200.0f;
  gate[1] = 200.0f;
  gate[2] = 0.0f;
  gate[3] = -0.0f;
  gate[4] = 1e-42f;
  std::vector<float> y(gate.size(), 5.0f);
  std::vector<float> scalar(gate.size(), 5.0f);
  kernels->swiglu({gate.data(), up.data(), y.data(), kStride, 0, kRows - 1});
  ActivationKernels(Tier::kScalar)
      .swiglu({gate.data(), up.data(), scalar.data(), kStride, 0, kRows - 1});
  ASSERT_EQ(0, std::memcmp(y.data(), scalar.data(), y.size() * sizeof(float)));
  for (size_t i = 0; i < (kRows - 1) * kStride; ++i) {
    const double g = gate[i];
    const double want = g / (1 + std::exp(-g)) * up[i];
    ASSERT_NEAR(y[i], want, std::abs(want) * 5e-7 + 1e-36) << gate[i];
  }
  for (size_t i = (kRows - 1) * kStride; i < y.size(); ++i) ASSERT_EQ(y[i], 5.0f);
  // In place.
  kernels->swiglu({gate.data(), up.data(), gate.data(), kStride, 0, kRows - 1});
  ASSERT_EQ(0, std::memcmp(y.data(), gate.data(), (kRows - 1) * kStride * sizeof(float)));
}

TEST_P(Activation, GeGluEqualsScalarAndTheTrueValue) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  constexpr size_t kStride = 48;
  constexpr size_t kRows = 50;
  std::vector<float> gate(kRows * kStride);
  std::vector<float> up(gate.size());
  for (size_t i = 0; i < gate.size(); ++i) {
    gate[i] = normal(random) * std::exp(normal(random));
    up[i] = normal(random);
  }
  gate[0] = -200.0f;
  gate[1] = 200.0f;
  gate[2] = 0.0f;
  gate[3] = 1e-42f;
  std::vector<float> y(gate.size(), 5.0f);
  std::vector<float> scalar(gate.size(), 5.0f);
  kernels->geglu({gate.data(), up.data(), y.data(), kStride, 0, kRows - 1});
  ActivationKernels(Tier::kScalar)
      .geglu({gate.data(), up.data(), scalar.data(), kStride, 0, kRows - 1});
  ASSERT_EQ(0, std::memcmp(y.data(), scalar.data(), y.size() * sizeof(float)));
  for (size_t i = 0; i < (kRows - 1) * kStride; ++i) {
    const double g = gate[i];
    const double u = std::sqrt(2 / std::acos(-1.0)) * (g + 0.044715 * g * g * g);
    const double want = g / (1 + std::exp(-2 * u)) * up[i];
    ASSERT_NEAR(y[i], want, std::abs(want) * (1e-6 + 2e-7 * std::abs(u)) + 1e-36) << gate[i];
  }
  for (size_t i = (kRows - 1) * kStride; i < y.size(); ++i) ASSERT_EQ(y[i], 5.0f);
}

TEST_P(Activation, SoftCapEqualsScalarAndTheTrueValue) {
  for (const size_t n : {1u, 15u, 16u, 33u, 1000u}) {
    for (const float cap : {0.5f, 30.0f}) {
      std::mt19937 random(5);
      std::normal_distribution<float> normal;
      std::vector<float> x(n + 1);
      for (float& value : x) value = cap * normal(random) * std::exp(2 * normal(random));
      if (n > 3) x[0] = 1e30f, x[1] = -1e30f, x[2] = 0.0f;
      std::vector<float> y = x;
      std::vector<float> scalar = x;
      kernels->soft_cap({y.data(), n, cap});
      ActivationKernels(Tier::kScalar).soft_cap({scalar.data(), n, cap});
      ASSERT_EQ(0, std::memcmp(y.data(), scalar.data(), y.size() * sizeof(float)));
      for (size_t i = 0; i < n; ++i) {
        ASSERT_NEAR(y[i], cap * std::tanh(double{x[i]} / cap), cap * 3e-7) << x[i];
      }
      ASSERT_EQ(y[n], x[n]);
    }
  }
}

}  // namespace
}  // namespace infeng
