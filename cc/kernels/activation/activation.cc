#include "cc/kernels/activation/activation.h"

#include "cc/cpu/compiled_tiers.h"

namespace infeng {

const ActivationTier& ActivationKernels(Tier tier) {
  switch (tier) {
#if INFENG_TOP_TIER >= 2
    case Tier::kAmx:
    case Tier::kAvx512:
      return kActivationAvx512;
#endif
#if INFENG_TOP_TIER >= 1
    case Tier::kAvx2:
      return kActivationAvx2;
#endif
    default:
      return kActivationScalar;
  }
}

}  // namespace infeng
