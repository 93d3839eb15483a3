#include "cc/kernels/norm/norm.h"

#include "cc/cpu/compiled_tiers.h"

namespace infeng {

const NormTier& NormKernels(Tier tier) {
  switch (tier) {
#if INFENG_TOP_TIER >= 2
    case Tier::kAmx:
    case Tier::kAvx512:
      return kNormAvx512;
#endif
#if INFENG_TOP_TIER >= 1
    case Tier::kAvx2:
      return kNormAvx2;
#endif
    default:
      return kNormScalar;
  }
}

}  // namespace infeng
