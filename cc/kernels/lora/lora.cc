#include "cc/kernels/lora/lora.h"

#include "cc/cpu/compiled_tiers.h"

namespace infeng {

const LoraTier& LoraKernels(Tier tier) {
  switch (tier) {
#if INFENG_TOP_TIER >= 2
    case Tier::kAmx:
    case Tier::kAvx512:
      return kLoraAvx512;
#endif
#if INFENG_TOP_TIER >= 1
    case Tier::kAvx2:
      return kLoraAvx2;
#endif
    default:
      return kLoraScalar;
  }
}

}  // namespace infeng
