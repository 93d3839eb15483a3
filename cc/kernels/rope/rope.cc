#include "cc/kernels/rope/rope.h"

#include "cc/cpu/compiled_tiers.h"

namespace infeng {

const RopeTier& RopeKernels(Tier tier) {
  switch (tier) {
#if INFENG_TOP_TIER >= 2
    case Tier::kAmx:
    case Tier::kAvx512:
      return kRopeAvx512;
#endif
#if INFENG_TOP_TIER >= 1
    case Tier::kAvx2:
      return kRopeAvx2;
#endif
    default:
      return kRopeScalar;
  }
}

}  // namespace infeng
