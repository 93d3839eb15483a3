#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/cpu/testing.h"
#include "cc/kernels/gemm/gemm.h"

namespace infeng {
namespace {

size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

template <typename T>
::testing::AssertionResult SameBits(const AlignedBuffer<T>& a, const AlignedBuffer<T>& b) {
  if (a.empty() && b.empty()) return ::testing::AssertionSuccess();
  if (a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0) {
    return ::testing::AssertionSuccess();
  }
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0) {
      return ::testing::AssertionFailure() << "element " << i << ": " << +a[i] << ", " << +b[i];
    }
  }
  return ::testing::AssertionFailure() << "sizes " << a.size() << ", " << b.size();
}

// Rows of k values, zero up to a stride that is a multiple of 16.
struct Rows {
  size_t rows, k, stride;
  AlignedBuffer<float> data;

  Rows(size_t rows, size_t k) : rows(rows), k(k), stride(RoundUp(k, 16)), data(rows * stride) {}
  float& at(size_t row, size_t i) { return data[row * stride + i]; }
  float at(size_t row, size_t i) const { return data[row * stride + i]; }
};

Rows RandomRows(size_t rows, size_t k, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Rows x(rows, k);
  for (size_t row = 0; row < rows; ++row) {
    const float scale = std::exp(normal(random) * 2);
    for (size_t i = 0; i < k; ++i) x.at(row, i) = normal(random) * scale;
  }
  return x;
}

// Owns what QuantizedRows points to.
struct Quantized {
  AlignedBuffer<int8_t> q;
  AlignedBuffer<float> scale;
  AlignedBuffer<int32_t> offset;
  AlignedBuffer<float> sum;
  QuantizedRows view;

  Quantized(size_t rows, size_t k, size_t group, size_t digits, bool wide)
      : q((wide ? RoundUp(rows, kWideTile) : rows) * digits * RoundUp(k, group)),
        scale(rows * digits * (RoundUp(k, group) / group)),
        offset(scale.size()),
        sum(scale.size()),
        view{q.data(), scale.data(),      offset.data(), sum.data(), rows,
             digits,   RoundUp(k, group), group,         wide} {}

  // Where tier.h says that they are.
  int8_t q_at(size_t row, size_t digit, size_t i) const {
    if (view.wide) {
      const size_t tile_k = view.group % 64 == 0 ? 64 : 32;
      return q[(row / 16 * view.digits + digit) * 16 * view.kp + i / tile_k * 16 * tile_k +
               row % 16 * tile_k + i % tile_k];
    }
    const size_t first = row / 4 * 4;
    const size_t tile = std::min<size_t>(view.rows - first, 4);
    return q[first * view.digits * view.kp + (digit * view.kp / 4 + i / 4) * tile * 4 +
             (row - first) * 4 + i % 4];
  }
  size_t group_at(size_t row, size_t digit, size_t g) const {
    const size_t groups = view.kp / view.group;
    const size_t first = row / 4 * 4;
    const size_t tile = std::min<size_t>(view.rows - first, 4);
    return first * view.digits * groups + (digit * groups + g) * tile + row - first;
  }
};

Quantized Quantize(const GemmTier& kernels, const Rows& x, size_t group, size_t digits) {
  Quantized out(x.rows, x.k, group, digits, kernels.Wide(x.rows));
  kernels.quantize({x.data.data(), x.stride, x.k, 0, x.rows, out.view});
  return out;
}

struct Int8Weight {
  size_t n, k, group, kp, panels;
  AlignedBuffer<int8_t> w;
  AlignedBuffer<uint16_t> scale;

  Int8Weight(size_t n, size_t k, size_t group)
      : n(n),
        k(k),
        group(group),
        kp(RoundUp(k, group)),
        panels(RoundUp(n, 16) / 16),
        w(panels * 16 * kp),
        scale(panels * 16 * (kp / group)) {}

  int8_t& at(size_t row, size_t i) {
    return w[row / 16 * 16 * kp + i / 4 * 64 + row % 16 * 4 + i % 4];
  }
  uint16_t& scale_at(size_t row, size_t g) {
    return scale[(row / 16 * (kp / group) + g) * 16 + row % 16];
  }
};

Int8Weight RandomWeight(size_t n, size_t k, size_t group, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> byte(-127, 127);
  std::uniform_real_distribution<float> uniform(0.001f, 0.1f);
  Int8Weight weight(n, k, group);
  for (size_t row = 0; row < n; ++row) {
    for (size_t i = 0; i < k; ++i) weight.at(row, i) = static_cast<int8_t>(byte(random));
    for (size_t g = 0; g < weight.kp / group; ++g) {
      weight.scale_at(row, g) =
          static_cast<uint16_t>(std::bit_cast<uint32_t>(uniform(random)) >> 16);
    }
  }
  return weight;
}

Rows Int8Linear(const GemmTier& kernels, const Quantized& x, const Int8Weight& w, size_t digits,
                bool accumulate) {
  Rows y(x.view.rows, w.n);
  std::fill_n(y.data.data(), y.data.size(), 0.75f);
  // In two ranges of panels, as threads would.
  for (const auto& [begin, end] : {std::pair{size_t{0}, w.panels / 2}, {w.panels / 2, w.panels}}) {
    kernels.int8_linear({w.w.data(), w.scale.data(), digits, x.view, w.n, begin, end, y.data.data(),
                         y.stride, accumulate});
  }
  return y;
}

struct Int4Weight {
  size_t n, k, kp, panels;
  AlignedBuffer<uint8_t> w;
  AlignedBuffer<uint16_t> scale;

  Int4Weight(size_t n, size_t k)
      : n(n),
        k(k),
        kp(RoundUp(k, 32)),
        panels(RoundUp(n, 16) / 16),
        w(panels * 8 * kp),
        scale(panels * kp) {}

  int at(size_t row, size_t i) const {
    const int byte = w[row / 16 * 8 * kp + i / 8 * 64 + row % 16 * 4 + i % 4];
    return i % 8 < 4 ? byte & 15 : byte >> 4;
  }
  uint16_t& scale_at(size_t row, size_t g) {
    return scale[(row / 16 * kp / 32 + g) * 32 + row % 16];
  }
  uint16_t& min_at(size_t row, size_t g) {
    return scale[(row / 16 * kp / 32 + g) * 32 + 16 + row % 16];
  }
};

// Scales and minima of both signs, denormals among them.
Int4Weight RandomInt4(size_t n, size_t k, uint32_t seed) {
  std::mt19937 random(seed);
  Int4Weight weight(n, k);
  for (uint8_t& byte : weight.w) byte = static_cast<uint8_t>(random());
  for (uint16_t& half : weight.scale) half = static_cast<uint16_t>(random() % 0xc000 & 0xbfff);
  return weight;
}

Rows Int4Linear(const GemmTier& kernels, const Quantized& x, const Int4Weight& w, size_t digits,
                bool accumulate) {
  Rows y(x.view.rows, w.n);
  std::fill_n(y.data.data(), y.data.size(), 0.75f);
  for (const auto& [begin, end] : {std::pair{size_t{0}, w.panels / 3}, {w.panels / 3, w.panels}}) {
    kernels.int4_linear({w.w.data(), w.scale.data(), digits, x.view, w.n, begin, end, y.data.data(),
                         y.stride, accumulate});
  }
  return y;
}

class Gemm : public ::testing::TestWithParam<Tier> {
 protected:
  void SetUp() override {
    if (const std::string reason = SkipReason(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
    kernels = &GemmKernels(GetParam());
  }
  const GemmTier* kernels = nullptr;
  const GemmTier& scalar = GemmKernels(Tier::kScalar);
};

INSTANTIATE_TEST_SUITE_P(Tiers, Gemm, ::testing::ValuesIn(AllTiers()),
                         [](const auto& info) { return TierName(info.param); });

TEST_P(Gemm, QuantizeIsWhatItSays) {
  const Rows x = RandomRows(5, 77, 1);
  const Quantized out = Quantize(*kernels, x, 32, 2);
  for (size_t row = 0; row < x.rows; ++row) {
    for (size_t g = 0; g < 3; ++g) {
      const size_t first = out.group_at(row, 0, g);
      const size_t second = out.group_at(row, 1, g);
      int sums[2] = {};
      float amax = 0;
      for (size_t i = g * 32; i < std::min<size_t>(x.k, g * 32 + 32); ++i) {
        amax = std::max(amax, std::abs(x.at(row, i)));
      }
      EXPECT_EQ(out.scale[first], amax / 127.0f);
      EXPECT_EQ(out.scale[second], amax / 127.0f / 254.0f);
      for (size_t i = g * 32; i < g * 32 + 32; ++i) {
        const float value = i < x.k ? x.at(row, i) : 0.0f;
        const int q = out.q_at(row, 0, i);
        const int q2 = out.q_at(row, 1, i);
        EXPECT_EQ(q, std::nearbyint(value * (127.0f / amax)));
        EXPECT_LE(std::abs(q2), 127);
        // Half a step of the second digit, and what rounding in f32 may add.
        EXPECT_NEAR(out.scale[first] * q + out.scale[second] * q2, value,
                    out.scale[second] * 0.502f);
        sums[0] += q;
        sums[1] += q2;
      }
      EXPECT_EQ(out.offset[first], -128 * sums[0]);
      EXPECT_EQ(out.offset[second], -128 * sums[1]);
      EXPECT_EQ(out.sum[first], out.scale[first] * static_cast<float>(sums[0]));
      EXPECT_EQ(out.sum[second], out.scale[second] * static_cast<float>(sums[1]));
    }
  }
}

TEST_P(Gemm, QuantizeEqualsScalar) {
  for (const size_t k : {1u, 15u, 16u, 17u, 31u, 32u, 33u, 64u, 576u, 1000u}) {
    for (const size_t group : {32u, 64u, 96u}) {
      for (const size_t digits : {1u, 2u}) {
        const Rows x = RandomRows(k % 2 == 0 ? 4 : 35, k, static_cast<uint32_t>(k));
        const Quantized a = Quantize(*kernels, x, group, digits);
        const Quantized b = Quantize(scalar, x, group, digits);
        for (size_t row = 0; row < x.rows; ++row) {
          for (size_t i = 0; i < digits * a.view.kp; ++i) {
            ASSERT_EQ(a.q_at(row, i / a.view.kp, i % a.view.kp),
                      b.q_at(row, i / a.view.kp, i % a.view.kp));
          }
        }
        EXPECT_TRUE(SameBits(a.scale, b.scale));
        EXPECT_TRUE(SameBits(a.offset, b.offset));
        EXPECT_TRUE(SameBits(a.sum, b.sum));
      }
    }
  }
}

TEST_P(Gemm, QuantizeEdges) {
  constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
  constexpr float kMax = std::numeric_limits<float>::max();
  const std::vector<std::vector<float>> groups = {
      {0.0f, -0.0f},
      {kDenormal, -3 * kDenormal},
      {1e-38f, -5e-39f},
      {3.7e-37f, 1e-37f},
      {3.8e-37f, 1e-37f, -3.8e-37f},
      {1e-36f, 4e-37f, 3.3e-39f},
      {kMax, -kMax, kMax / 3, 1.0f},
      {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -126.5f},
      {1.0f, -1.0f, 0.49999997f, 1e-30f},
  };
  for (const std::vector<float>& group : groups) {
    Rows x(1, group.size());
    for (size_t i = 0; i < group.size(); ++i) x.at(0, i) = group[i];
    const Quantized a = Quantize(*kernels, x, 32, 2);
    const Quantized b = Quantize(scalar, x, 32, 2);
    EXPECT_TRUE(SameBits(a.q, b.q)) << group[0];
    EXPECT_TRUE(SameBits(a.scale, b.scale)) << group[0];
    for (size_t i = 0; i < a.q.size(); ++i) EXPECT_GE(a.q[i], -127);
    for (size_t i = 0; i < a.scale.size(); ++i) EXPECT_TRUE(std::isfinite(a.scale[i]));
  }
}

TEST_P(Gemm, NotFiniteInputMakesNan) {
  const Int8Weight w = RandomWeight(16, 64, 32, 3);
  for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    Rows x = RandomRows(2, 64, 1);
    x.at(1, 40) = bad;
    const Rows y = Int8Linear(*kernels, Quantize(*kernels, x, 32, 1), w, 1, false);
    for (size_t n = 0; n < 16; ++n) {
      EXPECT_TRUE(std::isfinite(y.at(0, n)));
      EXPECT_TRUE(std::isnan(y.at(1, n)));
    }
  }
}

TEST_P(Gemm, Int8EqualsScalar) {
  uint32_t seed = 0;
  for (const size_t rows : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 15u, 16u, 17u, 32u, 71u, 150u}) {
    for (const auto& [n, k] :
         {std::pair<size_t, size_t>{1, 1}, {16, 32}, {17, 33}, {40, 100}, {23, 64}, {48, 1100}}) {
      for (const size_t digits : {1u, 2u}) {
        for (const bool accumulate : {false, true}) {
          const size_t group = std::array<size_t, 4>{32, 64, 96, 1152}[++seed % 4];
          const Int8Weight w = RandomWeight(n, k, group, seed);
          const Rows x = RandomRows(rows, k, seed + 1000);
          // Two digits are there; the linear layer uses one or both.
          const Rows got =
              Int8Linear(*kernels, Quantize(*kernels, x, group, 2), w, digits, accumulate);
          const Rows want =
              Int8Linear(scalar, Quantize(scalar, x, group, 2), w, digits, accumulate);
          EXPECT_TRUE(SameBits(got.data, want.data)) << rows << " " << n << " " << k;
        }
      }
    }
  }
}

TEST_P(Gemm, Int8IsThePromisedFormula) {
  Int8Weight w = RandomWeight(20, 70, 32, 5);
  const Rows x = RandomRows(3, 70, 6);
  const Quantized q = Quantize(*kernels, x, 32, 2);
  const Rows got = Int8Linear(*kernels, q, w, 2, true);
  for (size_t row = 0; row < 3; ++row) {
    for (size_t n = 0; n < 20; ++n) {
      float acc = 0.0f;
      for (size_t g = 0; g < 3; ++g) {
        const float w_scale = std::bit_cast<float>(uint32_t{w.scale_at(n, g)} << 16);
        for (size_t d = 0; d < 2; ++d) {
          int32_t sum = 0;
          for (size_t i = g * 32; i < g * 32 + 32; ++i) {
            sum += w.at(n, i) * q.q_at(row, d, i);
          }
          const float scale = w_scale * q.scale[q.group_at(row, d, g)];
          acc = std::fma(static_cast<float>(sum), scale, acc);
        }
      }
      EXPECT_EQ(got.at(row, n), 0.75f + acc);
    }
  }
}

TEST_P(Gemm, Int8Extremes) {
  // All products of +-127: what would saturate a kernel that adds pairs in 16 bits.
  for (const int sign : {1, -1}) {
    Int8Weight w(33, 1024, 1024);
    for (size_t n = 0; n < w.n; ++n) {
      for (size_t i = 0; i < w.k; ++i) {
        w.at(n, i) = static_cast<int8_t>(n % 2 == 0 ? 127 : i % 2 == 0 ? -127 : 127);
      }
      w.scale_at(n, 0) = 0x3f80;
    }
    Rows x(19, 1024);
    for (size_t row = 0; row < x.rows; ++row) {
      for (size_t i = 0; i < x.k; ++i) x.at(row, i) = static_cast<float>(127 * sign);
    }
    const Rows y = Int8Linear(*kernels, Quantize(*kernels, x, 1024, 1), w, 1, false);
    for (size_t row = 0; row < x.rows; ++row) {
      for (size_t n = 0; n < w.n; ++n) {
        EXPECT_EQ(y.at(row, n), n % 2 == 0 ? static_cast<float>(127 * 127 * 1024 * sign) : 0.0f);
      }
    }
  }
}

TEST_P(Gemm, LongExtremesAreExact) {
  // K of 16384 and all products of one sign, in groups whose partial sums f32 holds exactly.
  for (const int least : {-127, 127}) {
    for (const int sign : {1, -1}) {
      Int8Weight w(17, 16384, 32);
      for (size_t n = 0; n < w.n; ++n) {
        for (size_t i = 0; i < w.k; ++i) w.at(n, i) = static_cast<int8_t>(least);
        for (size_t g = 0; g < w.kp / 32; ++g) w.scale_at(n, g) = 0x3f80;
      }
      Rows x(22, w.k);
      for (float& value : x.data) value = static_cast<float>(127 * sign);
      const Rows y = Int8Linear(*kernels, Quantize(*kernels, x, 32, 1), w, 1, false);
      for (size_t row = 0; row < x.rows; ++row) {
        for (size_t n = 0; n < w.n; ++n) {
          EXPECT_EQ(y.at(row, n), static_cast<float>(127 * sign * least * 16384));
        }
      }
    }
  }
}

TEST_P(Gemm, Int4Extremes) {
  for (const int sign : {1, -1}) {
    Int4Weight w(20, 16384);
    for (uint8_t& byte : w.w) byte = 0xff;
    for (size_t n = 0; n < w.n; ++n) {
      for (size_t g = 0; g < w.kp / 32; ++g) {
        w.scale_at(n, g) = 0x3c00;                      // 1
        w.min_at(n, g) = n % 2 == 0 ? 0xcb80 : 0x0000;  // -15
      }
    }
    Rows x(19, w.k);
    for (float& value : x.data) value = static_cast<float>(127 * sign);
    const Rows y = Int4Linear(*kernels, Quantize(*kernels, x, 32, 1), w, 1, false);
    for (size_t row = 0; row < x.rows; ++row) {
      for (size_t n = 0; n < w.n; ++n) {
        EXPECT_EQ(y.at(row, n), n % 2 == 0 ? 0.0f : static_cast<float>(15 * 127 * sign * 16384));
      }
    }
  }
}

TEST_P(Gemm, Int4EqualsScalar) {
  uint32_t seed = 0;
  for (const size_t rows : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 15u, 16u, 17u, 32u, 71u, 150u}) {
    for (const auto& [n, k] :
         {std::pair<size_t, size_t>{1, 1}, {16, 32}, {17, 33}, {40, 100}, {23, 64}, {48, 1100}}) {
      for (const size_t digits : {1u, 2u}) {
        for (const bool accumulate : {false, true}) {
          const Int4Weight w = RandomInt4(n, k, ++seed);
          const Rows x = RandomRows(rows, k, seed + 1000);
          EXPECT_TRUE(SameBits(
              Int4Linear(*kernels, Quantize(*kernels, x, 32, 2), w, digits, accumulate).data,
              Int4Linear(scalar, Quantize(scalar, x, 32, 2), w, digits, accumulate).data))
              << rows << " " << n << " " << k;
        }
      }
    }
  }
}

float FromHalf(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(half & 1023), -24)
                              : std::ldexp(static_cast<float>((half & 1023) + 1024), exponent - 25);
  return half >> 15 != 0 ? -magnitude : magnitude;
}

TEST_P(Gemm, Int4IsThePromisedFormula) {
  Int4Weight w = RandomInt4(20, 70, 5);
  const Rows x = RandomRows(5, 70, 6);
  const Quantized q = Quantize(*kernels, x, 32, 2);
  const Rows got = Int4Linear(*kernels, q, w, 2, true);
  for (size_t row = 0; row < 5; ++row) {
    for (size_t n = 0; n < 20; ++n) {
      float acc = 0.0f;
      for (size_t g = 0; g < 3; ++g) {
        for (size_t d = 0; d < 2; ++d) {
          int32_t sum = 0;
          for (size_t i = g * 32; i < g * 32 + 32; ++i) sum += w.at(n, i) * q.q_at(row, d, i);
          const size_t at = q.group_at(row, d, g);
          acc = std::fma(static_cast<float>(sum), FromHalf(w.scale_at(n, g)) * q.scale[at], acc);
          acc = std::fma(FromHalf(w.min_at(n, g)), q.sum[at], acc);
        }
      }
      EXPECT_EQ(got.at(row, n), 0.75f + acc);
    }
  }
}

TEST_P(Gemm, RowsDoNotDependOnBatchMates) {
  const Int8Weight w = RandomWeight(64, 128, 32, 9);
  const Rows x = RandomRows(37, 128, 10);
  const Rows together = Int8Linear(*kernels, Quantize(*kernels, x, 32, 2), w, 2, false);
  for (size_t row = 0; row < 37; ++row) {
    Rows one(1, 128);
    std::copy_n(&x.data[row * x.stride], x.stride, one.data.data());
    const Rows alone = Int8Linear(*kernels, Quantize(*kernels, one, 32, 2), w, 2, false);
    EXPECT_EQ(0, std::memcmp(alone.data.data(), &together.data[row * 64], 64 * sizeof(float)));
  }
}

Rows F32Linear(const GemmTier& kernels, const Rows& x, const Rows& w, bool accumulate) {
  Rows y(x.rows, w.rows);
  std::fill_n(y.data.data(), y.data.size(), -0.5f);
  const size_t middle = w.rows / 3;
  for (const auto& [begin, end] : {std::pair{size_t{0}, middle}, {middle, w.rows}}) {
    kernels.f32_linear({w.data.data(), w.stride, x.data.data(), x.stride, x.rows, begin, end,
                        y.data.data(), y.stride, accumulate});
  }
  return y;
}

TEST_P(Gemm, F32EqualsScalar) {
  uint32_t seed = 0;
  for (const size_t rows : {0u, 1u, 2u, 3u, 4u, 5u, 8u, 11u}) {
    for (const size_t n : {1u, 2u, 3u, 4u, 7u, 16u, 33u}) {
      for (const size_t k : {1u, 15u, 16u, 17u, 100u, 576u}) {
        const Rows w = RandomRows(n, k, ++seed);
        const Rows x = RandomRows(rows, k, ++seed);
        const bool accumulate = seed % 4 == 0;
        EXPECT_TRUE(SameBits(F32Linear(*kernels, x, w, accumulate).data,
                             F32Linear(scalar, x, w, accumulate).data));
      }
    }
  }
}

TEST_P(Gemm, F32IsTheCanonicalSum) {
  const Rows w = RandomRows(6, 53, 1);
  const Rows x = RandomRows(5, 53, 2);
  const Rows y = F32Linear(*kernels, x, w, false);
  for (size_t row = 0; row < 5; ++row) {
    for (size_t n = 0; n < 6; ++n) {
      float lane[16] = {};
      for (size_t i = 0; i < 64; ++i) {
        lane[i % 16] = std::fma(x.at(row, i), w.at(n, i), lane[i % 16]);
      }
      for (size_t width = 8; width > 0; width /= 2) {
        for (size_t i = 0; i < width; ++i) lane[i] += lane[i + width];
      }
      EXPECT_EQ(y.at(row, n), lane[0]);
    }
  }
}

TEST_P(Gemm, F32EdgesEqualScalar) {
  constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
  const float values[] = {0.0f, -0.0f, kDenormal, -kDenormal, 1e-38f, -1e-20f, 3e38f, -3e38f, 1.0f};
  std::mt19937 random(4);
  Rows w(5, 40);
  Rows x(3, 40);
  for (Rows* m : {&w, &x}) {
    for (size_t row = 0; row < m->rows; ++row) {
      for (size_t i = 0; i < m->k; ++i) m->at(row, i) = values[random() % std::size(values)];
    }
  }
  // Infinite sums are compared as well: they have no sign or payload to differ in but the sign.
  const Rows got = F32Linear(*kernels, x, w, false);
  const Rows want = F32Linear(scalar, x, w, false);
  for (size_t i = 0; i < got.data.size(); ++i) {
    if (std::isnan(want.data[i])) {
      EXPECT_TRUE(std::isnan(got.data[i]));
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(got.data[i]), std::bit_cast<uint32_t>(want.data[i]));
    }
  }
}

}  // namespace
}  // namespace infeng
