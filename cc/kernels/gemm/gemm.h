#ifndef INFENG_CC_KERNELS_GEMM_GEMM_H_
#define INFENG_CC_KERNELS_GEMM_GEMM_H_

#include "cc/cpu/cpu.h"
#include "cc/kernels/gemm/tier.h"

namespace infeng {

// The linear-layer kernels of a tier that is compiled in and usable on this CPU.
const GemmTier& GemmKernels(Tier tier);

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_GEMM_GEMM_H_
