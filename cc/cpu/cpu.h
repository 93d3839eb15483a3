#ifndef INFENG_CC_CPU_CPU_H_
#define INFENG_CC_CPU_CPU_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cc/base/status.h"

namespace infeng {

// What kernels may use. Each tier includes those below it. The order is that of
// toolchains/isa/tiers.bzl.
enum class Tier {
  kScalar = 0,
  kAvx2 = 1,    // AVX2, FMA, F16C
  kAvx512 = 2,  // and AVX-512 F, BW, DQ, VL, VNNI
  kAmx = 3,     // and AMX tiles of int8
};

inline constexpr Tier kTiers[] = {Tier::kScalar, Tier::kAvx2, Tier::kAvx512, Tier::kAmx};

// What CPUID and XCR0 say. The flags are those of the CPU alone: an instruction set is usable only
// if the operating system saves its registers too (os_ymm, os_zmm, os_tile).
struct CpuFeatures {
  std::string vendor;  // as CPUID spells it: "AuthenticAMD"
  std::string brand;   // "AMD EPYC 9654 96-Core Processor", "" if the CPU has none
  uint32_t family = 0;
  uint32_t model = 0;
  uint32_t stepping = 0;

  bool osxsave = false;  // XCR0 can be read
  uint64_t xcr0 = 0;     // 0 without osxsave
  bool os_ymm = false;   // XMM and YMM state is saved
  bool os_zmm = false;   // mask and ZMM state is saved, and YMM
  bool os_tile = false;  // tile configuration and data are saved
  int tile_refusal = 0;  // the errno with which the system refused tiles to this process

  bool avx = false;
  bool fma = false;
  bool f16c = false;
  bool avx2 = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512dq = false;
  bool avx512vl = false;
  bool avx512vnni = false;
  bool amx_tile = false;
  bool amx_int8 = false;

  // Bytes, of one instance of each cache; 0 if unknown.
  uint64_t l1d_bytes = 0;
  uint64_t l2_bytes = 0;
  uint64_t l3_bytes = 0;
};

// What this machine has. Reads it anew on each call. Linux gives tiles only to a process that asks
// for them, so this asks, where CPU and system have them; it holds for all threads.
CpuFeatures DetectCpu();

// The instruction sets that the CPU has, by the names that /proc/cpuinfo uses, in a fixed order.
std::vector<std::string> FeatureNames(const CpuFeatures& features);

// "scalar", "avx2", "avx512", "amx".
const char* TierName(Tier tier);

// Error: InvalidArgument that lists the names.
StatusOr<Tier> ParseTier(std::string_view name);

// Whether this build has the tier's kernels.
bool TierCompiled(Tier tier);

// Whether CPU and operating system can run the tier. If not, *why_not (unless null) says what
// lacks, e.g. "this CPU (AMD EPYC 7B12) lacks avx512f avx512bw avx512dq avx512vl avx512vnni".
bool TierUsable(Tier tier, const CpuFeatures& features, std::string* why_not);

// The highest tier that is compiled in and usable.
Tier BestUsableTier(const CpuFeatures& features);

// The tier that --force_path names: "auto" is BestUsableTier, the others are that tier or an error:
// InvalidArgument for an unknown name, Unavailable for what the build or the machine lacks.
StatusOr<Tier> ChooseTier(std::string_view force_path, const CpuFeatures& features);

// vendor-family-model-tier-cores, e.g. "amd-25-17-avx512-2c": measurements with the same key may be
// compared. Fit for a file name.
std::string HardwareKey(const CpuFeatures& features, Tier tier, int cores);

}  // namespace infeng

#endif  // INFENG_CC_CPU_CPU_H_
