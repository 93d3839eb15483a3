#include "perf/peaks/peaks.h"

#include "cc/cpu/compiled_tiers.h"

namespace infeng {

const PeakTier& PeakKernels(Tier tier) {
  switch (tier) {
#if INFENG_TOP_TIER >= 3
    case Tier::kAmx:
      return kPeakAmx;
#endif
#if INFENG_TOP_TIER >= 2
    case Tier::kAvx512:
      return kPeakAvx512;
#endif
#if INFENG_TOP_TIER >= 1
    case Tier::kAvx2:
      return kPeakAvx2;
#endif
    default:
      return kPeakScalar;
  }
}

}  // namespace infeng
