#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/cpu/testing.h"
#include "cc/kernels/lora/lora.h"

namespace infeng {
namespace {

constexpr size_t kRows = 11;

size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

float FromHalf(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(half & 1023), -24)
                              : std::ldexp(static_cast<float>((half & 1023) + 1024), exponent - 25);
  return half >> 15 != 0 ? -magnitude : magnitude;
}

// One update and the inputs of kRows rows.
struct Case {
  size_t n, k, rank, kp, low_stride, y_stride;
  AlignedBuffer<uint16_t> a, b;
  AlignedBuffer<float> x, y;

  Case(size_t n, size_t k, size_t rank, uint32_t seed)
      : n(n),
        k(k),
        rank(rank),
        kp(RoundUp(k, 16)),
        low_stride(RoundUp(rank, 8)),
        y_stride(n + 3),
        a(low_stride * kp),
        b(RoundUp(n, 16) * rank),
        x(kRows * kp),
        y(kRows * y_stride) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    // Up to 2 in magnitude, denormals among them.
    const auto half = [&] { return static_cast<uint16_t>(random() % 0xc000 & 0xbfff); };
    for (size_t r = 0; r < rank; ++r) {
      for (size_t i = 0; i < k; ++i) a[r / 8 * kp * 8 + i / 2 * 16 + r % 8 * 2 + i % 2] = half();
    }
    for (uint16_t& value : b) value = half();
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t i = 0; i < k; ++i) x[row * kp + i] = normal(random);
    }
    for (float& value : y) value = normal(random);
  }

  float A(size_t r, size_t i) const {
    return FromHalf(a[r / 8 * kp * 8 + i / 2 * 16 + r % 8 * 2 + i % 2]);
  }
  float B(size_t i, size_t r) const { return FromHalf(b[(i / 16 * rank + r) * 16 + i % 16]); }

  // y after the update of those rows; the panels in two calls, as threads would.
  AlignedBuffer<float> Apply(const LoraTier& kernels, const std::vector<uint32_t>& rows) const {
    AlignedBuffer<float> low(kRows * low_stride);
    AlignedBuffer<float> out(y.size());
    std::copy(y.begin(), y.end(), out.begin());
    kernels.shrink(
        {a.data(), rank, kp, x.data(), kp, rows.data(), rows.size(), 0.3f, low.data(), low_stride});
    const size_t panels = RoundUp(n, 16) / 16;
    for (const auto& [begin, end] : {std::pair{size_t{0}, panels / 2}, {panels / 2, panels}}) {
      kernels.expand({b.data(), rank, low.data(), low_stride, rows.data(), rows.size(), n, begin,
                      end, out.data(), y_stride});
    }
    return out;
  }
};

bool Same(const AlignedBuffer<float>& a, const AlignedBuffer<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<uint32_t> AllRows() {
  std::vector<uint32_t> rows(kRows);
  std::iota(rows.begin(), rows.end(), 0u);
  return rows;
}

class Lora : public ::testing::TestWithParam<Tier> {
 protected:
  void SetUp() override {
    if (const std::string reason = SkipReason(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
    kernels = &LoraKernels(GetParam());
  }
  const LoraTier* kernels = nullptr;
  const LoraTier& scalar = LoraKernels(Tier::kScalar);
};

INSTANTIATE_TEST_SUITE_P(Tiers, Lora, ::testing::ValuesIn(AllTiers()),
                         [](const auto& info) { return TierName(info.param); });

TEST_P(Lora, EqualsScalar) {
  uint32_t seed = 0;
  for (const size_t rank : {1u, 2u, 7u, 8u, 9u, 16u, 17u, 40u, 64u, 256u}) {
    for (const auto& [n, k] : {std::pair<size_t, size_t>{1, 1}, {16, 16}, {17, 33}, {40, 576}}) {
      const Case c(n, k, rank, ++seed);
      for (const auto& rows : {AllRows(), std::vector<uint32_t>{}, {3}, {9, 2, 5}, {0, 2, 4, 6}}) {
        EXPECT_TRUE(Same(c.Apply(*kernels, rows), c.Apply(scalar, rows)))
            << n << " " << k << " rank " << rank << ", rows " << rows.size();
      }
    }
  }
}

TEST_P(Lora, IsThePromisedFormula) {
  const Case c(37, 70, 11, 5);
  const std::vector<uint32_t> rows = {7, 1, 4, 10, 2, 3};
  const AlignedBuffer<float> got = c.Apply(*kernels, rows);
  std::vector<bool> touched(kRows);
  for (const uint32_t row : rows) {
    touched[row] = true;
    std::vector<float> low;
    for (size_t r = 0; r < c.rank; ++r) {
      float lanes[2] = {};
      for (size_t i = 0; i < c.k; ++i) {
        lanes[i % 2] = std::fma(c.x[row * c.kp + i], c.A(r, i), lanes[i % 2]);
      }
      low.push_back(0.3f * (lanes[0] + lanes[1]));
    }
    for (size_t i = 0; i < c.n; ++i) {
      float sum = 0;
      for (size_t r = 0; r < c.rank; ++r) sum = std::fma(low[r], c.B(i, r), sum);
      EXPECT_EQ(got[row * c.y_stride + i], c.y[row * c.y_stride + i] + sum);
    }
  }
  for (size_t i = 0; i < got.size(); ++i) {
    if (!touched[i / c.y_stride] || i % c.y_stride >= c.n) EXPECT_EQ(got[i], c.y[i]) << i;
  }
}

TEST_P(Lora, RowsDoNotDependOnBatchMates) {
  const Case c(64, 128, 16, 9);
  const AlignedBuffer<float> together = c.Apply(*kernels, AllRows());
  for (uint32_t row = 0; row < kRows; ++row) {
    const AlignedBuffer<float> alone = c.Apply(*kernels, {row});
    EXPECT_EQ(
        0, std::memcmp(&alone[row * c.y_stride], &together[row * c.y_stride], c.n * sizeof(float)));
  }
}

}  // namespace
}  // namespace infeng
