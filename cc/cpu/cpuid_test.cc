#include "cc/cpu/cpuid.h"

#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace infeng {
namespace {

// A CPU made of a table; leaves that it does not have answer as a real one does: with the data of
// another leaf, here all ones.
class FakeCpu {
 public:
  static FakeCpu WithAmx() {
    FakeCpu cpu;
    cpu.Name("AuthenticAMD", "AMD EPYC 9654 96-Core Processor");
    cpu.leaf(1).eax = 0x00a10f11;  // family 25, model 17, stepping 1
    cpu.leaf(1).ecx = (1u << 12) | (1u << 27) | (1u << 28) | (1u << 29);
    cpu.leaf(7).ebx = (1u << 5) | (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);
    cpu.leaf(7).ecx = 1u << 11;
    cpu.leaf(7).edx = (1u << 24) | (1u << 25);
    cpu.leaf(0x1d).eax = 1;
    cpu.leaf(0x1d, 1) = {(1024u << 16) | 8192u, (8u << 16) | 64u, 16, 0};
    cpu.leaf(0x1e).ebx = (64u << 8) | 16u;
    cpu.xcr0 = 0x600e7;
    return cpu;
  }

  void Name(const std::string& vendor, std::string brand) {
    CpuidRegisters& r = leaf(0);
    r.eax = 0x1f;
    std::memcpy(&r.ebx, vendor.data(), 4);
    std::memcpy(&r.edx, vendor.data() + 4, 4);
    std::memcpy(&r.ecx, vendor.data() + 8, 4);
    brand.resize(48, '\0');
    leaf(0x80000000).eax = 0x80000004;
    for (uint32_t i = 0; i < 3; ++i) {
      std::memcpy(&leaf(0x80000002 + i), brand.data() + size_t{16} * i, 16);
    }
  }

  CpuidRegisters& leaf(uint32_t leaf, uint32_t subleaf = 0) { return leaves_[{leaf, subleaf}]; }

  CpuFeatures Features() const {
    return DecodeCpuid({
        [this](uint32_t leaf, uint32_t subleaf) {
          const auto found = leaves_.find({leaf, subleaf});
          if (found != leaves_.end()) return found->second;
          return subleaf == 0 ? CpuidRegisters{~0u, ~0u, ~0u, ~0u} : CpuidRegisters{};
        },
        [this] {
          EXPECT_TRUE((leaves_.at({1, 0}).ecx >> 27) & 1)
              << "XGETBV would be an illegal instruction";
          return xcr0;
        },
        [this] {
          EXPECT_EQ(xcr0 >> 17 & 3, 3U) << "asked for what the system does not have";
          return refusal;
        },
    });
  }

  uint64_t xcr0 = 0;
  int refusal = 0;

 private:
  std::map<std::pair<uint32_t, uint32_t>, CpuidRegisters> leaves_;
};

std::string WhyNot(Tier tier, const CpuFeatures& features) {
  std::string why_not = "untouched";
  const bool usable = TierUsable(tier, features, &why_not);
  EXPECT_EQ(usable, why_not.empty());
  return why_not;
}

TEST(CpuidTest, DecodesACpuThatHasItAll) {
  const CpuFeatures f = FakeCpu::WithAmx().Features();
  EXPECT_EQ(f.vendor, "AuthenticAMD");
  EXPECT_EQ(f.brand, "AMD EPYC 9654 96-Core Processor");
  EXPECT_EQ(f.family, 25U);
  EXPECT_EQ(f.model, 17U);
  EXPECT_EQ(f.stepping, 1U);
  EXPECT_EQ(FeatureNames(f), (std::vector<std::string>{"avx", "fma", "f16c", "avx2", "avx512f",
                                                       "avx512bw", "avx512dq", "avx512vl",
                                                       "avx512vnni", "amx_tile", "amx_int8"}));
  EXPECT_TRUE(f.os_ymm);
  EXPECT_TRUE(f.os_zmm);
  for (const Tier tier : kTiers) EXPECT_EQ(WhyNot(tier, f), "");
}

TEST(CpuidTest, DecodesFamilyAndModel) {
  const auto decode = [](uint32_t signature) {
    FakeCpu cpu = FakeCpu::WithAmx();
    cpu.leaf(1).eax = signature;
    const CpuFeatures f = cpu.Features();
    return std::pair(f.family, f.model);
  };
  EXPECT_EQ(decode(0x000806f8), std::pair(6U, 143U));  // Sapphire Rapids
  EXPECT_EQ(decode(0x00800f82), std::pair(23U, 8U));   // Zen+
  EXPECT_EQ(decode(0x00000543), std::pair(5U, 4U));    // no extended fields
  EXPECT_EQ(decode(0x00010543), std::pair(5U, 4U));    // and none used
}

TEST(CpuidTest, YmmNotEnabledByTheSystem) {
  FakeCpu cpu = FakeCpu::WithAmx();
  cpu.xcr0 = 0x3;
  const CpuFeatures f = cpu.Features();
  EXPECT_TRUE(f.avx2);
  const std::string expected = "the operating system has not enabled YMM registers (XCR0 is 0x3)";
  EXPECT_EQ(WhyNot(Tier::kAvx2, f), expected);
  EXPECT_EQ(WhyNot(Tier::kAvx512, f), expected);
  EXPECT_EQ(WhyNot(Tier::kScalar, f), "");
  EXPECT_EQ(BestUsableTier(f), Tier::kScalar);
}

TEST(CpuidTest, ZmmNotEnabledByTheSystem) {
  for (const uint64_t xcr0 : {0x07, 0x27, 0x67, 0xa7, 0xc7}) {  // each lacks a part
    FakeCpu cpu = FakeCpu::WithAmx();
    cpu.xcr0 = xcr0;
    const CpuFeatures f = cpu.Features();
    EXPECT_EQ(WhyNot(Tier::kAvx2, f), "");
    EXPECT_NE(WhyNot(Tier::kAvx512, f).find("has not enabled ZMM registers (XCR0 is 0x"),
              std::string::npos);
    EXPECT_LT(BestUsableTier(f), Tier::kAvx512);
  }
}

TEST(CpuidTest, TilesNotEnabledByTheSystem) {
  for (const uint64_t xcr0 : {0xe7, 0x200e7, 0x400e7}) {
    FakeCpu cpu = FakeCpu::WithAmx();
    cpu.xcr0 = xcr0;
    const CpuFeatures f = cpu.Features();
    EXPECT_EQ(WhyNot(Tier::kAvx512, f), "");
    EXPECT_NE(WhyNot(Tier::kAmx, f).find("has not enabled tile registers (XCR0 is 0x"),
              std::string::npos);
    EXPECT_LT(BestUsableTier(f), Tier::kAmx);
  }
}

TEST(CpuidTest, TilesRefusedByTheSystem) {
  FakeCpu cpu = FakeCpu::WithAmx();
  cpu.refusal = EPERM;
  const CpuFeatures f = cpu.Features();
  EXPECT_EQ(WhyNot(Tier::kAvx512, f), "");
  EXPECT_EQ(WhyNot(Tier::kAmx, f),
            "the operating system refuses tile registers to this process: Operation not permitted");
}

TEST(CpuidTest, TilesOfAnotherSize) {
  for (const auto& [bytes, rows] : {std::pair{32u, 16u}, {64u, 8u}}) {
    FakeCpu cpu = FakeCpu::WithAmx();
    cpu.leaf(0x1d, 1) = {(1024u << 16) | 8192u, (8u << 16) | bytes, rows, 0};
    EXPECT_FALSE(cpu.Features().amx_tile);
  }
  FakeCpu old = FakeCpu::WithAmx();
  old.leaf(0).eax = 0x10;  // the leaves that tell are not there
  EXPECT_FALSE(old.Features().amx_tile);
}

TEST(CpuidTest, OsxsaveOff) {
  FakeCpu cpu = FakeCpu::WithAmx();
  cpu.leaf(1).ecx &= ~(1u << 27);
  const CpuFeatures f = cpu.Features();
  EXPECT_EQ(f.xcr0, 0U);
  EXPECT_EQ(WhyNot(Tier::kAvx2, f), "the operating system has not enabled XSAVE, which avx2 needs");
  EXPECT_EQ(BestUsableTier(f), Tier::kScalar);
}

struct Lack {
  const char* name;
  uint32_t leaf;
  uint32_t CpuidRegisters::*reg;
  int bit;
  Tier lowest;  // the lowest tier that needs it
};

class LackTest : public testing::TestWithParam<Lack> {};

TEST_P(LackTest, ForbidsTheTiersThatNeedIt) {
  const Lack& lack = GetParam();
  FakeCpu cpu = FakeCpu::WithAmx();
  cpu.leaf(lack.leaf).*lack.reg &= ~(1u << lack.bit);
  const CpuFeatures f = cpu.Features();
  for (const Tier tier : kTiers) {
    const std::string expected =
        tier < lack.lowest
            ? ""
            : std::string("this CPU (AMD EPYC 9654 96-Core Processor) lacks ") + lack.name;
    EXPECT_EQ(WhyNot(tier, f), expected);
  }
  EXPECT_LT(BestUsableTier(f), lack.lowest);
}

INSTANTIATE_TEST_SUITE_P(
    Bits, LackTest,
    testing::Values(Lack{"fma", 1, &CpuidRegisters::ecx, 12, Tier::kAvx2},
                    Lack{"avx", 1, &CpuidRegisters::ecx, 28, Tier::kAvx2},
                    Lack{"f16c", 1, &CpuidRegisters::ecx, 29, Tier::kAvx2},
                    Lack{"avx2", 7, &CpuidRegisters::ebx, 5, Tier::kAvx2},
                    Lack{"avx512f", 7, &CpuidRegisters::ebx, 16, Tier::kAvx512},
                    Lack{"avx512dq", 7, &CpuidRegisters::ebx, 17, Tier::kAvx512},
                    Lack{"avx512bw", 7, &CpuidRegisters::ebx, 30, Tier::kAvx512},
                    Lack{"avx512vl", 7, &CpuidRegisters::ebx, 31, Tier::kAvx512},
                    Lack{"avx512vnni", 7, &CpuidRegisters::ecx, 11, Tier::kAvx512},
                    Lack{"amx_tile", 7, &CpuidRegisters::edx, 24, Tier::kAmx},
                    Lack{"amx_int8", 7, &CpuidRegisters::edx, 25, Tier::kAmx}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(CpuidTest, AnOldCpuIsNotAskedForLeavesItLacks) {
  FakeCpu cpu;
  cpu.Name("GenuineIntel", "");
  cpu.leaf(0).eax = 2;
  cpu.leaf(1).eax = 0x673;
  cpu.leaf(1).ecx = 0;
  cpu.leaf(0x80000000).eax = 0;
  const CpuFeatures f = cpu.Features();
  EXPECT_EQ(FeatureNames(f), std::vector<std::string>{});
  EXPECT_EQ(f.brand, "");
  EXPECT_EQ(f.l2_bytes, 0U);
  EXPECT_EQ(WhyNot(Tier::kAvx2, f), "this CPU (GenuineIntel) lacks avx fma f16c avx2");
}

TEST(CpuidTest, TheBrandIsCleaned) {
  FakeCpu cpu = FakeCpu::WithAmx();
  cpu.Name("GenuineIntel", "   Intel(R)\tXeon\n  ");
  EXPECT_EQ(cpu.Features().brand, "Intel(R)?Xeon?");
}

CpuidRegisters Cache(uint32_t level, uint32_t type, uint32_t ways, uint32_t line, uint32_t sets) {
  return {(level << 5) | type, ((ways - 1) << 22) | (line - 1), sets - 1, 0};
}

TEST(CpuidTest, CachesOfIntel) {
  FakeCpu cpu = FakeCpu::WithAmx();
  cpu.leaf(4, 0) = Cache(1, 1, 12, 64, 64);
  cpu.leaf(4, 1) = Cache(1, 2, 8, 64, 64);
  cpu.leaf(4, 2) = Cache(2, 3, 16, 64, 2048);
  cpu.leaf(4, 3) = Cache(3, 3, 15, 64, 65536);
  const CpuFeatures f = cpu.Features();
  EXPECT_EQ(f.l1d_bytes, 48U << 10);
  EXPECT_EQ(f.l2_bytes, 2U << 20);
  EXPECT_EQ(f.l3_bytes, 60U << 20);
}

TEST(CpuidTest, CachesOfAmd) {
  FakeCpu cpu = FakeCpu::WithAmx();
  cpu.leaf(0x80000000).eax = 0x80000021;
  cpu.leaf(0x80000001).ecx = 1u << 22;
  cpu.leaf(0x8000001d, 0) = Cache(1, 1, 8, 64, 64);
  cpu.leaf(0x8000001d, 1) = Cache(1, 2, 8, 64, 64);
  cpu.leaf(0x8000001d, 2) = Cache(2, 3, 8, 64, 2048);
  cpu.leaf(0x8000001d, 3) = Cache(3, 3, 16, 64, 32768);
  const CpuFeatures f = cpu.Features();
  EXPECT_EQ(f.l1d_bytes, 32U << 10);
  EXPECT_EQ(f.l2_bytes, 1U << 20);
  EXPECT_EQ(f.l3_bytes, 32U << 20);
}

TEST(CpuidTest, AnEndlessListOfCachesEnds) {
  FakeCpu cpu = FakeCpu::WithAmx();
  for (uint32_t i = 0; i < 1000; ++i) cpu.leaf(4, i) = Cache(1, 1, 8, 64, 64);
  EXPECT_EQ(cpu.Features().l1d_bytes, 32U << 10);
}

}  // namespace
}  // namespace infeng
