#include "cc/cpu/cpu.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "cc/cpu/compiled_tiers.h"
#include "cc/cpu/cores.h"
#include "cc/cpu/testing.h"
#include "gtest/gtest.h"

namespace infeng {
namespace {

CpuFeatures EverythingButVnni() {
  CpuFeatures f;
  f.vendor = "GenuineIntel";
  f.brand = "Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz";
  f.family = 6;
  f.model = 85;
  f.osxsave = f.os_ymm = f.os_zmm = true;
  f.xcr0 = 0xe7;
  f.avx = f.fma = f.f16c = f.avx2 = true;
  f.avx512f = f.avx512bw = f.avx512dq = f.avx512vl = true;
  return f;
}

CpuFeatures Everything() {
  CpuFeatures f = EverythingButVnni();
  f.avx512vnni = f.amx_tile = f.amx_int8 = f.os_tile = true;
  f.xcr0 = 0x600e7;
  return f;
}

TEST(TierTest, NamesAreReadBack) {
  for (const Tier tier : kTiers) EXPECT_EQ(*ParseTier(TierName(tier)), tier);
  for (const char* name : {"", "AVX2", "avx", "auto", "avx512 "}) {
    const StatusOr<Tier> tier = ParseTier(name);
    ASSERT_FALSE(tier.ok()) << name;
    EXPECT_EQ(tier.status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(TierTest, TheTopTierIsThatOfTheBuild) {
  EXPECT_TRUE(TierCompiled(Tier::kScalar));
  for (const Tier tier : kTiers) {
    EXPECT_EQ(TierCompiled(tier), static_cast<int>(tier) <= INFENG_TOP_TIER);
  }
}

TEST(ChooseTierTest, AutoTakesTheBest) {
  EXPECT_EQ(*ChooseTier("auto", CpuFeatures()), Tier::kScalar);
  EXPECT_EQ(static_cast<int>(*ChooseTier("auto", Everything())), INFENG_TOP_TIER);
  EXPECT_EQ(static_cast<int>(*ChooseTier("auto", EverythingButVnni())),
            std::min(1, INFENG_TOP_TIER));
}

TEST(ChooseTierTest, ForcesWhatThereIs) {
  for (const Tier tier : kTiers) {
    if (!TierCompiled(tier)) continue;
    EXPECT_EQ(*ChooseTier(TierName(tier), Everything()), tier);
  }
}

TEST(ChooseTierTest, UnknownName) {
  const Status status = ChooseTier("sse", Everything()).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "--force_path=sse: expected auto, scalar, avx2, avx512 or amx");
}

TEST(ChooseTierTest, WhatTheMachineOrTheBuildLacks) {
  const Status status = ChooseTier("avx512", EverythingButVnni()).status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  if (TierCompiled(Tier::kAvx512)) {
    EXPECT_EQ(status.message(),
              "--force_path=avx512: this CPU (Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz) lacks "
              "avx512vnni");
  } else {
    EXPECT_EQ(status.message(), std::string("--force_path=avx512: this build has no tier above ") +
                                    TierName(static_cast<Tier>(INFENG_TOP_TIER)));
  }
}

TEST(HardwareKeyTest, NamesVendorFamilyModelTierCores) {
  CpuFeatures f = Everything();
  EXPECT_EQ(HardwareKey(f, Tier::kAvx2, 20), "intel-6-85-avx2-20c");
  f.vendor = "AuthenticAMD";
  EXPECT_EQ(HardwareKey(f, Tier::kAvx512, 2), "amd-6-85-avx512-2c");
  f.vendor = "../Centaur?";
  EXPECT_EQ(HardwareKey(f, Tier::kScalar, 1), "centaur-6-85-scalar-1c");
  f.vendor = "";
  EXPECT_EQ(HardwareKey(f, Tier::kScalar, 1), "unknown-6-85-scalar-1c");
}

// The kernel lists a flag only if the CPU has it and its registers are saved.
TEST(ThisMachineTest, AgreesWithTheKernel) {
  std::ifstream file("/proc/cpuinfo");
  std::set<std::string> flags;
  std::string brand;
  for (std::string line; std::getline(file, line) && (flags.empty() || brand.empty());) {
    if (line.starts_with("model name")) brand = line.substr(line.find(": ") + 2);
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;) flags.insert(word);
  }
  if (flags.empty()) GTEST_SKIP() << "/proc/cpuinfo lists no flags";
  const CpuFeatures f = DetectCpu();
  EXPECT_EQ(f.brand, brand);
  EXPECT_EQ(f.avx2 && f.os_ymm, flags.contains("avx2"));
  EXPECT_EQ(f.fma && f.os_ymm, flags.contains("fma"));
  EXPECT_EQ(f.f16c && f.os_ymm, flags.contains("f16c"));
  EXPECT_EQ(f.avx512f && f.os_zmm, flags.contains("avx512f"));
  EXPECT_EQ(f.avx512bw && f.os_zmm, flags.contains("avx512bw"));
  EXPECT_EQ(f.avx512dq && f.os_zmm, flags.contains("avx512dq"));
  EXPECT_EQ(f.avx512vl && f.os_zmm, flags.contains("avx512vl"));
  EXPECT_EQ(f.avx512vnni && f.os_zmm, flags.contains("avx512_vnni"));
  EXPECT_EQ(f.amx_int8 && f.os_tile, flags.contains("amx_int8"));
}

TEST(ThisMachineTest, ForcingWorksExactlyWhereTheTierRuns) {
  for (const Tier tier : AllTiers()) {
    EXPECT_EQ(ChooseTier(TierName(tier), DetectCpu()).ok(), SkipReason(tier).empty())
        << TierName(tier) << ": " << SkipReason(tier);
  }
  EXPECT_EQ(SkipReason(Tier::kScalar), "");
  EXPECT_TRUE(ChooseTier("auto", DetectCpu()).ok());
}

TEST(ThisMachineTest, CachesAreOfASaneSize) {
  const CpuFeatures f = DetectCpu();
  if (f.l1d_bytes == 0) GTEST_SKIP() << "this machine does not tell";
  EXPECT_GE(f.l1d_bytes, 4U << 10);
  EXPECT_LE(f.l1d_bytes, 1U << 20);
  EXPECT_GT(f.l2_bytes, f.l1d_bytes);
}

TEST(CoresTest, ThisMachine) {
  const CoreCount cores = VisibleCores();
  EXPECT_GE(cores.physical, 1);
  EXPECT_GE(cores.logical, cores.physical);
}

TEST(CoresTest, WithoutTopologyEachCpuIsACore) {
  const CoreCount cores = VisibleCores("/nonexistent");
  EXPECT_EQ(cores.logical, cores.physical);
}

}  // namespace
}  // namespace infeng
