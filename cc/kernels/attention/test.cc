// The tiers agree bit for bit, a tile of rows agrees with its rows alone, and all agree with the
// definition in double over what the cache holds.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "cc/cpu/testing.h"
#include "cc/kernels/attention/attention.h"
#include "cc/kernels/attention/cache_fixture.h"

namespace infeng {
namespace {

class AttentionTest : public ::testing::TestWithParam<Tier> {
 protected:
  void SetUp() override {
    if (const std::string reason = SkipReason(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
  }
};

INSTANTIATE_TEST_SUITE_P(Tiers, AttentionTest, ::testing::ValuesIn(AllTiers()),
                         [](const auto& info) { return TierName(info.param); });

constexpr KvDtype kDtypes[] = {KvDtype::kF32, KvDtype::kF16, KvDtype::kInt8, KvDtype::kInt4};

// What int16 queries and weights lose; codes of int4 have no sign, so more of them is lost.
double Tolerance(KvDtype dtype) {
  return dtype == KvDtype::kInt4 ? 1e-3 : dtype == KvDtype::kInt8 ? 3e-4 : 2e-5;
}

void ExpectSame(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_EQ(0, std::memcmp(a.data(), b.data(), a.size() * sizeof(float))) << what;
}

TEST_P(AttentionTest, EqualsScalarAndTheTrueValue) {
  uint32_t seed = 0;
  const std::vector<std::pair<size_t, size_t>> shapes = {{1, 64}, {3, 64}, {4, 16}, {5, 32},
                                                         {6, 10}, {7, 80}, {2, 256}};
  for (const KvDtype dtype : kDtypes) {
    for (const size_t positions : {1u, 2u, 15u, 17u, 63u, 65u, 255u, 256u, 257u, 700u}) {
      for (const auto& [heads, dim] : shapes) {
        const Input input(dtype, heads, dim, positions, 1, Normal(1.0f, ++seed));
        const auto out = input.Run(GetParam());
        ASSERT_NO_FATAL_FAILURE(ExpectSame(out, input.Run(Tier::kScalar), input.name()));
        const auto want = input.Reference();
        for (size_t i = 0; i < want.size(); ++i) {
          ASSERT_NEAR(out[i], want[i], Tolerance(dtype)) << input.name();
        }
      }
    }
  }
}

// Prefill in one piece, in tiles, row by row, in parts of the context: the same bits.
TEST_P(AttentionTest, DivisionsDoNotMatter) {
  for (const KvDtype dtype : kDtypes) {
    for (const auto& [positions, rows] :
         {std::pair<size_t, size_t>{40, 40}, {260, 12}, {530, 16}, {700, 5}}) {
      for (const size_t window : {0u, 1u, 70u, 300u}) {
        Input input(dtype, 3, 64, positions, rows, Normal(1.5f, 3));
        input.options.window = window;
        const auto want = input.Run(Tier::kScalar);
        for (const size_t tile : {16u, 64u, 256u}) {
          input.options.tile_tokens = tile;
          for (const size_t step : {1u, 3u, 16u}) {
            input.options.rows_at_once = step;
            ASSERT_NO_FATAL_FAILURE(ExpectSame(input.Run(GetParam()), want, input.name()));
          }
          for (const size_t chunks : {1u, 2u}) {
            ASSERT_NO_FATAL_FAILURE(
                ExpectSame(input.RunInParts(GetParam(), chunks), want, input.name()));
          }
        }
      }
    }
  }
}

TEST_P(AttentionTest, WindowAndSoftCapAreWhatTheySay) {
  for (const KvDtype dtype : kDtypes) {
    for (const size_t window : {0u, 1u, 17u, 256u, 400u}) {
      for (const float cap : {0.0f, 1.0f, 30.0f}) {
        Input input(dtype, 2, 48, 600, 5, Normal(2.0f, 9));
        input.options.window = window;
        input.options.soft_cap = cap;
        const auto out = input.Run(GetParam());
        ASSERT_NO_FATAL_FAILURE(ExpectSame(out, input.Run(Tier::kScalar), input.name()));
        const auto want = input.Reference();
        for (size_t i = 0; i < want.size(); ++i) {
          ASSERT_NEAR(out[i], want[i], 3 * Tolerance(dtype)) << input.name();
        }
      }
    }
  }
}

TEST_P(AttentionTest, AdversarialValues) {
  const auto huge = [](size_t j, size_t d, bool) {
    return d % 29 == 3 ? 1e4f * static_cast<float>(j % 5) : 0.01f * static_cast<float>(d);
  };
  const auto equal = [](size_t, size_t d, bool value) {
    return value ? static_cast<float>(d) : 0.25f;
  };
  const auto zeros = [](size_t j, size_t d, bool) { return (j + d) % 2 == 0 ? -0.0f : 0.0f; };
  const auto denormal = [](size_t j, size_t d, bool) {
    return std::bit_cast<float>(static_cast<uint32_t>(1 + j * 7 + d));
  };
  const auto dominant = [](size_t j, size_t d, bool value) {
    if (value) return static_cast<float>(j) + 0.125f * static_cast<float>(d);
    return j == 77 ? 8.0f : j % 2 == 0 ? 0.5f : -0.5f;
  };
  const auto saturated = [](size_t j, size_t d, bool) { return j == d ? 3e38f : -1e30f; };
  for (const KvDtype dtype : kDtypes) {
    for (const Fill& fill : {Fill(huge), Fill(equal), Fill(zeros), Fill(denormal), Fill(dominant),
                             Normal(30.0f, 5), Normal(1000.0f, 6)}) {
      const Input input(dtype, 3, 64, 300, 4, fill);
      const auto out = input.Run(GetParam());
      ASSERT_NO_FATAL_FAILURE(ExpectSame(out, input.Run(Tier::kScalar), input.name()));
      for (const float x : out) ASSERT_TRUE(std::isfinite(x)) << input.name();
    }
    const Input clamped(dtype, 3, 64, 100, 4, saturated);
    ASSERT_NO_FATAL_FAILURE(
        ExpectSame(clamped.StoredBytes(GetParam()), clamped.StoredBytes(Tier::kScalar), "stores"));
    // All the weight is on key 77, whatever the others are.
    Input one(dtype, 1, 64, 300, 1, dominant);
    one.q.assign(64, 8.0f);
    const auto out = one.Run(GetParam());
    const auto want = one.Reference();
    for (size_t d = 0; d < 64; ++d) ASSERT_NEAR(out[d], want[d], 2e-3) << one.name();
    // Equal scores: the mean.
    const Input same(dtype, 1, 64, 300, 1, equal);
    const auto mean = same.Run(GetParam());
    for (size_t d = 0; d < 64; ++d) {
      ASSERT_NEAR(mean[d], d, dtype == KvDtype::kInt4 ? 2.2 : 0.3) << same.name();
    }
  }
}

TEST_P(AttentionTest, NotFiniteInputIsSeenInTheOutput) {
  for (const KvDtype dtype : kDtypes) {
    for (const bool value : {false, true}) {
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        if (!std::isnan(bad) && (dtype == KvDtype::kF16 || dtype == KvDtype::kF32)) continue;
        const Fill fill = [&](size_t j, size_t d, bool v) {
          return v == value && j == 40 && d == 11 ? bad : 0.5f;
        };
        const Input input(dtype, 3, 64, 90, 1, fill);
        const auto out = input.Run(GetParam());
        EXPECT_TRUE(std::any_of(out.begin(), out.end(), [](float x) { return std::isnan(x); }))
            << input.name() << " " << value << " " << bad;
      }
    }
  }
}

TEST_P(AttentionTest, StoresTheSameBytesAndLosesNoMoreThanHalfAStep) {
  for (const KvDtype dtype : {KvDtype::kInt8, KvDtype::kInt4}) {
    for (const size_t dim : {10u, 64u, 128u}) {
      // Every vector has an outlier, so that lists run full.
      const Fill spiky = [&](size_t j, size_t d, bool value) {
        const float x = Normal(1.0f, 4)(j, d, value);
        return (j * 31 + (value ? 5 : 0)) % dim == d ? 40.0f : x;
      };
      const Input input(dtype, 1, dim, 192, 1, spiky);
      ASSERT_NO_FATAL_FAILURE(
          ExpectSame(input.StoredBytes(GetParam()), input.StoredBytes(Tier::kScalar), "stores"));
      size_t outliers = 0;
      for (size_t page = 0; page < 3; ++page) {
        for (const bool value : {false, true}) {
          const size_t count = input.Outliers(page, value);
          EXPECT_LE(count, input.block.max_outliers);
          outliers += count;
        }
      }
      if (dim >= 64) EXPECT_GT(outliers, 100u);
      for (size_t j = 0; j < 192; ++j) {
        for (size_t d = 0; d < dim; ++d) {
          for (const bool value : {false, true}) {
            const double step = input.Scale(j, value);
            // Codes are rounded; so is the least value of int4, to binary16.
            ASSERT_NEAR(input.Stored(j, d, value), spiky(j, d, value), 0.51 * step + 1e-3 * step)
                << j << " " << d << " " << value;
          }
        }
      }
    }
  }
}

TEST_P(AttentionTest, APositionMayBeWrittenAgain) {
  for (const KvDtype dtype : kDtypes) {
    Input input(dtype, 2, 64, 100, 1, Normal(1.0f, 2));
    const auto want = input.Run(GetParam());
    // Others stood where positions 70 and on are, longer than they.
    input.Write(GetParam(), 70, 128, Normal(9.0f, 5));
    input.Write(GetParam(), 70, 100, Normal(1.0f, 2));
    ASSERT_NO_FATAL_FAILURE(ExpectSame(input.Run(GetParam()), want, input.name()));
  }
}

TEST_P(AttentionTest, QueriesLoseNoMoreThanHalfAStep) {
  for (const float scale : {1.0f, 1e-20f, 1e30f, 0.0f}) {
    std::vector<float> x(64);
    for (size_t d = 0; d < 64; ++d) x[d] = scale * Normal(1.0f, 3)(0, d, false);
    std::vector<int16_t> q(64);
    std::vector<int16_t> scalar(64);
    float q_scale = 7.0f;
    float scalar_scale = 7.0f;
    AttentionKernels(GetParam()).quantize_query({x.data(), 64, q.data(), &q_scale});
    AttentionKernels(Tier::kScalar).quantize_query({x.data(), 64, scalar.data(), &scalar_scale});
    EXPECT_EQ(q, scalar);
    EXPECT_EQ(q_scale, scalar_scale);
    for (size_t e = 0; e < 64; ++e) {
      double rotated = 0;
      for (size_t d = 0; d < 64; ++d) rotated += std::popcount(d & e) % 2 == 0 ? x[d] : -x[d];
      EXPECT_NEAR(double{q_scale} * q[e], rotated, 0.51 * double{q_scale});
    }
  }
  std::vector<float> x(16, INFINITY);
  std::vector<int16_t> q(16, 5);
  float q_scale = 0.0f;
  AttentionKernels(GetParam()).quantize_query({x.data(), 16, q.data(), &q_scale});
  EXPECT_TRUE(std::isnan(q_scale));
  EXPECT_EQ(q, std::vector<int16_t>(16, 0));
}

TEST_P(AttentionTest, HalvesRoundAndClamp) {
  const std::vector<float> edges = {0.0f,     -0.0f,    1.0f,      65504.0f,  65519.9f, 65520.0f,
                                    1e30f,    -1e30f,   INFINITY,  -INFINITY, 1e-8f,    2.98e-8f,
                                    2.99e-8f, 5.96e-8f, 6.097e-5f, 6.1e-5f,   2049.0f,  2051.0f};
  const std::vector<uint16_t> want = {0x0000, 0x8000, 0x3c00, 0x7bff, 0x7bff, 0x7bff,
                                      0x7bff, 0xfbff, 0x7bff, 0xfbff, 0x0000, 0x0000,
                                      0x0001, 0x0001, 0x03ff, 0x03ff, 0x6800, 0x6802};
  const Input input(
      KvDtype::kF16, 1, 18, 1, 1, [&](size_t, size_t d, bool) { return edges[d]; }, GetParam());
  for (size_t d = 0; d < 18; ++d) {
    for (const bool value : {false, true}) EXPECT_EQ(input.HalfBits(0, d, value), want[d]) << d;
  }
}

TEST_P(AttentionTest, AllHalvesReadAlike) {
  // A cache of one position gives back its value: 2^0 / 1 times it.
  for (uint32_t first = 0; first < 0x10000; first += 256) {
    if ((first & 0x7c00) == 0x7c00) continue;
    const Fill fill = [&](size_t, size_t d, bool value) {
      const uint32_t h = first + static_cast<uint32_t>(d);
      const int exponent = static_cast<int>(h >> 10 & 0x1f);
      const float mantissa = static_cast<float>(h & 0x3ff);
      const float magnitude =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024.0f, exponent - 25);
      return !value ? 0.0f : h & 0x8000 ? -magnitude : magnitude;
    };
    const Input input(KvDtype::kF16, 1, 256, 1, 1, fill);
    const auto out = input.Run(GetParam());
    for (size_t d = 0; d < 256; ++d) ASSERT_EQ(out[d], fill(0, d, true)) << first + d;
  }
}

TEST_P(AttentionTest, Exp2IsAccurate) {
  std::vector<float> x = {0.0f, -0.0f, -125.0f, -125.00001f, -1e30f, -INFINITY};
  for (uint32_t bits = 0x80000000u; bits <= std::bit_cast<uint32_t>(-125.0f); bits += 997) {
    x.push_back(std::bit_cast<float>(bits));
  }
  std::vector<float> y(x.size());
  std::vector<float> scalar(x.size());
  AttentionKernels(GetParam()).exp2(x.data(), y.data(), x.size());
  AttentionKernels(Tier::kScalar).exp2(x.data(), scalar.data(), x.size());
  ASSERT_NO_FATAL_FAILURE(ExpectSame(y, scalar, "exp2"));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double want = x[i] < -125.0f ? 0.0 : std::exp2(double{x[i]});
    if (want == 0.0) {
      ASSERT_EQ(y[i], 0.0f) << x[i];
      continue;
    }
    const double ulp = std::ldexp(1.0, std::ilogb(want) - 23);
    worst = std::max(worst, std::abs(y[i] - want) / ulp);
  }
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_LE(worst, 2.1);
  float nan = NAN;
  AttentionKernels(GetParam()).exp2(&nan, y.data(), 1);
  EXPECT_TRUE(std::isnan(y[0]));
}

}  // namespace
}  // namespace infeng
