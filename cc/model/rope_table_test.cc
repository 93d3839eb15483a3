#include "cc/model/rope_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace infeng {
namespace {

TEST(RopeTable, AgreesWithLibm) {
  for (const double theta : {1.0, 1.5, 10000.0, 100000.0, 500000.0, 1e12}) {
    for (const size_t head_dim : {2u, 16u, 64u, 128u, 256u}) {
      RopeTable table(theta, head_dim);
      table.Grow(3000);
      for (size_t position = 0; position < 3000; ++position) {
        for (size_t i = 0; i < head_dim / 2; ++i) {
          const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
          const double angle = static_cast<double>(position) * std::pow(theta, exponent);
          ASSERT_NEAR(table.cos(position)[i], std::cos(angle), 6.1e-8) << position << " " << i;
          ASSERT_NEAR(table.sin(position)[i], std::sin(angle), 6.1e-8) << position << " " << i;
        }
      }
    }
  }
}

TEST(RopeTable, HoldsAtGreatPositions) {
  RopeTable table(100000.0, 64);
  const size_t last = (1u << 20) - 1;
  table.Grow(last + 1);
  for (size_t position = last - 1000; position <= last; ++position) {
    for (size_t i = 0; i < 32; ++i) {
      const double angle =
          static_cast<double>(position) * std::pow(100000.0, -static_cast<double>(i) / 32.0);
      ASSERT_NEAR(table.cos(position)[i], std::cos(angle), 6.1e-8) << position << " " << i;
      ASSERT_NEAR(table.sin(position)[i], std::sin(angle), 6.1e-8) << position << " " << i;
    }
  }
}

TEST(RopeTable, GrowthChangesNothing) {
  RopeTable whole(10000.0, 32);
  RopeTable pieces(10000.0, 32);
  whole.Grow(500);
  for (const size_t positions : {1u, 2u, 77u, 76u, 500u}) pieces.Grow(positions);
  EXPECT_EQ(0, std::memcmp(whole.cos(0), pieces.cos(0), 500 * 16 * sizeof(float)));
  EXPECT_EQ(0, std::memcmp(whole.sin(0), pieces.sin(0), 500 * 16 * sizeof(float)));
}

TEST(RopeTable, FactorsSlowDownAndTheScaleMultiplies) {
  const std::vector<double> factors = {1.0, 2.5, 40.0, 0.5};
  RopeTable table(10000.0, 8, factors, 1.25);
  table.Grow(2000);
  for (size_t position = 0; position < 2000; ++position) {
    for (size_t i = 0; i < 4; ++i) {
      const double angle = static_cast<double>(position) *
                           std::pow(10000.0, -static_cast<double>(i) / 4) / factors[i];
      ASSERT_NEAR(table.cos(position)[i], 1.25 * std::cos(angle), 8e-8);
      ASSERT_NEAR(table.sin(position)[i], 1.25 * std::sin(angle), 8e-8);
    }
  }
}

TEST(RopeTable, TheIdentityTurnsNothing) {
  RopeTable table = RopeTable::Identity(8);
  table.Grow(100);
  for (size_t i = 0; i < 100 * 4; ++i) {
    ASSERT_EQ(table.cos(0)[i], 1.0f);
    ASSERT_EQ(table.sin(0)[i], 0.0f);
  }
}

}  // namespace
}  // namespace infeng
