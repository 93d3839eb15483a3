#include "cc/cpu/cpu.h"

#include <unistd.h>

#include <cctype>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "cc/cpu/compiled_tiers.h"
#include "cc/cpu/cpuid.h"

namespace infeng {
namespace {

struct Requirement {
  const char* name;
  bool CpuFeatures::*present;
  Tier tier;  // the lowest that needs it
};

constexpr Requirement kRequirements[] = {
    {"avx", &CpuFeatures::avx, Tier::kAvx2},
    {"fma", &CpuFeatures::fma, Tier::kAvx2},
    {"f16c", &CpuFeatures::f16c, Tier::kAvx2},
    {"avx2", &CpuFeatures::avx2, Tier::kAvx2},
    {"avx512f", &CpuFeatures::avx512f, Tier::kAvx512},
    {"avx512bw", &CpuFeatures::avx512bw, Tier::kAvx512},
    {"avx512dq", &CpuFeatures::avx512dq, Tier::kAvx512},
    {"avx512vl", &CpuFeatures::avx512vl, Tier::kAvx512},
    {"avx512vnni", &CpuFeatures::avx512vnni, Tier::kAvx512},
    {"amx_tile", &CpuFeatures::amx_tile, Tier::kAmx},
    {"amx_int8", &CpuFeatures::amx_int8, Tier::kAmx},
};

// Some hypervisors hide the cache leaves; the kernel or the C library may still know.
void FillUnknownCaches(CpuFeatures* features) {
  const std::pair<uint64_t*, int> caches[] = {
      {&features->l1d_bytes, _SC_LEVEL1_DCACHE_SIZE},
      {&features->l2_bytes, _SC_LEVEL2_CACHE_SIZE},
      {&features->l3_bytes, _SC_LEVEL3_CACHE_SIZE},
  };
  for (const auto& [bytes, name] : caches) {
    if (*bytes != 0) continue;
    const long known = sysconf(name);
    if (known > 0) *bytes = static_cast<uint64_t>(known);
  }
}

std::string CpuName(const CpuFeatures& features) {
  std::string name = features.brand.empty() ? features.vendor : features.brand;
  if (name.empty()) name = "unknown";
  return "this CPU (" + name + ")";
}

std::string VendorKey(const std::string& vendor) {
  if (vendor == "AuthenticAMD") return "amd";
  if (vendor == "GenuineIntel") return "intel";
  std::string key;
  for (const char c : vendor) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      key += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return key.empty() ? "unknown" : key;
}

}  // namespace

CpuFeatures DetectCpu() {
  CpuFeatures features = DecodeCpuid(MachineCpuid());
  FillUnknownCaches(&features);
  return features;
}

std::vector<std::string> FeatureNames(const CpuFeatures& features) {
  std::vector<std::string> names;
  for (const Requirement& r : kRequirements) {
    if (features.*r.present) names.emplace_back(r.name);
  }
  return names;
}

const char* TierName(Tier tier) {
  switch (tier) {
    case Tier::kScalar:
      return "scalar";
    case Tier::kAvx2:
      return "avx2";
    case Tier::kAvx512:
      return "avx512";
    case Tier::kAmx:
      return "amx";
  }
  return "unknown";
}

StatusOr<Tier> ParseTier(std::string_view name) {
  for (const Tier tier : kTiers) {
    if (name == TierName(tier)) return tier;
  }
  return InvalidArgument("'" + std::string(name) +
                         "' is not a tier: expected scalar, avx2, avx512 or amx");
}

bool TierCompiled(Tier tier) { return static_cast<int>(tier) <= INFENG_TOP_TIER; }

bool TierUsable(Tier tier, const CpuFeatures& features, std::string* why_not) {
  std::string missing;
  for (const Requirement& r : kRequirements) {
    if (r.tier <= tier && !(features.*r.present)) missing += std::string(" ") + r.name;
  }
  std::string reason;
  if (!missing.empty()) {
    reason = CpuName(features) + " lacks" + missing;
  } else if (tier >= Tier::kAvx2 && !features.osxsave) {
    reason = "the operating system has not enabled XSAVE, which " + std::string(TierName(tier)) +
             " needs";
  } else if ((tier >= Tier::kAvx2 && !features.os_ymm) ||
             (tier >= Tier::kAvx512 && !features.os_zmm) ||
             (tier >= Tier::kAmx && !features.os_tile)) {
    char xcr0[32];
    std::snprintf(xcr0, sizeof(xcr0), "0x%" PRIx64, features.xcr0);
    reason = std::string("the operating system has not enabled ") +
             (!features.os_ymm   ? "YMM"
              : !features.os_zmm ? "ZMM"
                                 : "tile") +
             " registers (XCR0 is " + xcr0 + ")";
  } else if (tier >= Tier::kAmx && features.tile_refusal != 0) {
    reason = std::string("the operating system refuses tile registers to this process: ") +
             std::strerror(features.tile_refusal);
  }
  if (why_not != nullptr) *why_not = reason;
  return reason.empty();
}

Tier BestUsableTier(const CpuFeatures& features) {
  Tier best = Tier::kScalar;
  for (const Tier tier : kTiers) {
    if (TierCompiled(tier) && TierUsable(tier, features, nullptr)) best = tier;
  }
  return best;
}

StatusOr<Tier> ChooseTier(std::string_view force_path, const CpuFeatures& features) {
  if (force_path == "auto") return BestUsableTier(features);
  const std::string flag = "--force_path=" + std::string(force_path) + ": ";
  const StatusOr<Tier> tier = ParseTier(force_path);
  if (!tier.ok()) return InvalidArgument(flag + "expected auto, scalar, avx2, avx512 or amx");
  if (!TierCompiled(*tier)) {
    return Unavailable(flag + "this build has no tier above " +
                       TierName(static_cast<Tier>(INFENG_TOP_TIER)));
  }
  std::string why_not;
  if (!TierUsable(*tier, features, &why_not)) return Unavailable(flag + why_not);
  return *tier;
}

std::string HardwareKey(const CpuFeatures& features, Tier tier, int cores) {
  return VendorKey(features.vendor) + "-" + std::to_string(features.family) + "-" +
         std::to_string(features.model) + "-" + TierName(tier) + "-" + std::to_string(cores) + "c";
}

}  // namespace infeng
