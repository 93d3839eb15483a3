#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cc/cpu/testing.h"
#include "cc/kernels/attention/attention.h"

namespace infeng {
namespace {

// A key-value head's cache in pages, with queries.
struct Input {
  size_t heads, dim, padded, positions;
  bool f16;
  std::vector<std::vector<float>> pages;  // storage; elements are binary16 if f16
  std::vector<const void*> page_pointers;
  std::vector<float> q, k, v;  // [heads][padded], [positions][dim] as stored

  Input(size_t heads, size_t dim, size_t positions, bool f16, float scale, uint32_t seed)
      : heads(heads), dim(dim), padded((dim + 15) / 16 * 16), positions(positions), f16(f16) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, scale);
    const AttentionTier& store = AttentionKernels(Tier::kScalar);
    q.resize(heads * padded);
    for (size_t h = 0; h < heads; ++h) {
      for (size_t d = 0; d < dim; ++d) q[h * padded + d] = normal(random);
    }
    const size_t count = (positions + kPagePositions - 1) / kPagePositions;
    // What was never written must not matter.
    pages.assign(count, std::vector<float>(page_elements() * 2, NAN));
    for (const auto& page : pages) page_pointers.push_back(page.data());
    for (size_t j = 0; j < positions; ++j) {
      for (const bool value : {false, true}) {
        std::vector<float> x(dim);
        for (float& e : x) {
          e = normal(random);
          // Exact in binary16, so that the reference needs no conversion.
          e = std::bit_cast<float>(std::bit_cast<uint32_t>(e) & 0xffffe000u);
          if (std::abs(e) < 6.2e-5f) e = 0.0f;
        }
        auto* base = reinterpret_cast<char*>(pages[j / kPagePositions].data());
        const size_t at = (value ? v_offset() : k_offset()) + j % kPagePositions * padded;
        store.store_kv({x.data(), dim, base + at * (f16 ? 2 : 4), padded, f16});
        auto& copy = value ? v : k;
        copy.insert(copy.end(), x.begin(), x.end());
      }
    }
  }

  size_t k_offset() const { return 32; }
  size_t v_offset() const { return 32 + kPagePositions * padded; }
  size_t page_elements() const { return 32 + 2 * kPagePositions * padded; }

  std::vector<float> Run(Tier tier) const {
    std::vector<float> out(heads * dim + 1, 7.0f);
    AttendArgs args = {};
    args.q = q.data();
    args.out = out.data();
    args.heads = heads;
    args.head_dim = dim;
    args.padded_dim = padded;
    args.pages = page_pointers.data();
    args.k_offset = k_offset();
    args.v_offset = v_offset();
    args.positions = positions;
    args.scale = 1.0f / std::sqrt(static_cast<float>(dim));
    args.f16 = f16;
    AttentionKernels(tier).attend(args);
    return out;
  }
};

class Attention : public ::testing::TestWithParam<Tier> {
 protected:
  void SetUp() override {
    if (const std::string reason = SkipReason(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
  }
};

INSTANTIATE_TEST_SUITE_P(Tiers, Attention, ::testing::ValuesIn(AllTiers()),
                         [](const auto& info) { return TierName(info.param); });

TEST_P(Attention, EqualsScalarAndTheTrueValue) {
  uint32_t seed = 0;
  for (const size_t positions : {1u, 2u, 15u, 16u, 17u, 63u, 65u, 255u, 256u, 257u, 700u}) {
    for (const auto& [heads, dim] : {std::pair<size_t, size_t>{1, 64},
                                     {3, 64},
                                     {4, 16},
                                     {5, 32},
                                     {6, 10},
                                     {7, 80},
                                     {2, 256}}) {
      for (const bool f16 : {true, false}) {
        const Input input(heads, dim, positions, f16, 1.0f, ++seed);
        const auto out = input.Run(GetParam());
        const auto scalar = input.Run(Tier::kScalar);
        ASSERT_EQ(0, std::memcmp(out.data(), scalar.data(), out.size() * sizeof(float)))
            << positions << " " << heads << " " << dim << " " << f16;
        ASSERT_EQ(out.back(), 7.0f);
        for (size_t h = 0; h < heads; ++h) {
          std::vector<double> weight(positions);
          double total = 0;
          for (size_t j = 0; j < positions; ++j) {
            double dot = 0;
            for (size_t d = 0; d < dim; ++d) {
              dot += double{input.q[h * input.padded + d]} * input.k[j * dim + d];
            }
            weight[j] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
            total += weight[j];
          }
          for (size_t d = 0; d < dim; ++d) {
            double want = 0;
            for (size_t j = 0; j < positions; ++j) want += weight[j] * input.v[j * dim + d];
            ASSERT_NEAR(out[h * dim + d], want / total, 5e-6);
          }
        }
      }
    }
  }
}

TEST_P(Attention, GreatScoresDoNotOverflow) {
  for (const float scale : {30.0f, 1000.0f}) {
    const Input input(3, 64, 600, false, scale, 5);
    const auto out = input.Run(GetParam());
    const auto scalar = input.Run(Tier::kScalar);
    ASSERT_EQ(0, std::memcmp(out.data(), scalar.data(), out.size() * sizeof(float)));
    for (const float value : out) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST_P(Attention, HeadsDoNotDependOnOneAnother) {
  const Input together(7, 64, 300, true, 1.0f, 8);
  const auto out = together.Run(GetParam());
  for (size_t h = 0; h < 7; ++h) {
    Input alone(1, 64, 300, true, 1.0f, 1);
    alone.q.assign(together.q.begin() + static_cast<ptrdiff_t>(h * 64),
                   together.q.begin() + static_cast<ptrdiff_t>(h * 64 + 64));
    alone.page_pointers = together.page_pointers;
    const auto one = alone.Run(GetParam());
    ASSERT_EQ(0, std::memcmp(one.data(), &out[h * 64], 64 * sizeof(float)));
  }
}

TEST_P(Attention, AllHalvesReadAlike) {
  // A cache of one position gives back its value: exp(0) / 1 times it.
  std::vector<uint16_t> page(4 * kPagePositions * 16);
  const float q[16] = {};
  const void* pages[] = {page.data()};
  for (uint32_t half = 0; half < 0x10000; half += 16) {
    const size_t v_offset = kPagePositions * 16;
    for (uint32_t i = 0; i < 16; ++i) page[v_offset + i] = static_cast<uint16_t>(half + i);
    if ((half & 0x7c00) == 0x7c00) continue;
    float out[2][16];
    for (const int i : {0, 1}) {
      AttendArgs args = {};
      args.q = q;
      args.out = out[i];
      args.heads = 1;
      args.head_dim = args.padded_dim = 16;
      args.pages = pages;
      args.v_offset = v_offset;
      args.positions = 1;
      args.scale = 1.0f;
      args.f16 = true;
      AttentionKernels(i == 0 ? GetParam() : Tier::kScalar).attend(args);
    }
    ASSERT_EQ(0, std::memcmp(out[0], out[1], sizeof(out[0]))) << half;
    for (uint32_t i = 0; i < 16; ++i) {
      const uint32_t h = half + i;
      const double mantissa = h & 0x3ff;
      const int exponent = static_cast<int>(h >> 10 & 0x1f);
      const double magnitude =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024, exponent - 25);
      ASSERT_EQ(out[0][i], (h & 0x8000 ? -1 : 1) * magnitude);
    }
  }
}

TEST_P(Attention, StoreRoundsAndClamps) {
  const auto store = [](Tier tier, const std::vector<float>& x) {
    const size_t padded = (x.size() + 15) / 16 * 16;
    std::vector<uint16_t> out(padded, 0xdead);
    AttentionKernels(tier).store_kv({x.data(), x.size(), out.data(), padded, true});
    return out;
  };
  const std::vector<float> edges = {0.0f,     -0.0f,    1.0f,      65504.0f,  65519.9f, 65520.0f,
                                    1e30f,    -1e30f,   INFINITY,  -INFINITY, 1e-8f,    2.98e-8f,
                                    2.99e-8f, 5.96e-8f, 6.097e-5f, 6.1e-5f,   2049.0f,  2051.0f};
  const std::vector<uint16_t> want = {0x0000, 0x8000, 0x3c00, 0x7bff, 0x7bff, 0x7bff,
                                      0x7bff, 0xfbff, 0x7bff, 0xfbff, 0x0000, 0x0000,
                                      0x0001, 0x0001, 0x03ff, 0x03ff, 0x6800, 0x6802};
  auto got = store(GetParam(), edges);
  EXPECT_EQ(std::vector<uint16_t>(got.begin() + 18, got.end()), std::vector<uint16_t>(14, 0));
  got.resize(18);
  EXPECT_EQ(got, want);
  std::vector<float> x;
  for (uint64_t bits = 0; bits < 0x100000000; bits += 9973) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!std::isnan(value)) x.push_back(value);
  }
  EXPECT_EQ(store(GetParam(), x), store(Tier::kScalar, x));
  EXPECT_EQ(store(GetParam(), {NAN})[0] & 0x7e00, 0x7e00);
}

}  // namespace
}  // namespace infeng
