#include "cc/kernels/attention/attention.h"

#include "cc/cpu/compiled_tiers.h"

namespace infeng {

const AttentionTier& AttentionKernels(Tier tier) {
  switch (tier) {
#if INFENG_TOP_TIER >= 2
    case Tier::kAvx512:
      return kAttentionAvx512;
#endif
#if INFENG_TOP_TIER >= 1
    case Tier::kAvx2:
      return kAttentionAvx2;
#endif
    default:
      return kAttentionScalar;
  }
}

}  // namespace infeng
