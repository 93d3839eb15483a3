#include "cc/kernels/gemm/gemm.h"

#include "cc/cpu/compiled_tiers.h"

namespace infeng {

const GemmTier& GemmKernels(Tier tier) {
  switch (tier) {
#if INFENG_TOP_TIER >= 3
    case Tier::kAmx:
      return kGemmAmx;
#endif
#if INFENG_TOP_TIER >= 2
    case Tier::kAvx512:
      return kGemmAvx512;
#endif
#if INFENG_TOP_TIER >= 1
    case Tier::kAvx2:
      return kGemmAvx2;
#endif
    default:
      return kGemmScalar;
  }
}

}  // namespace infeng
