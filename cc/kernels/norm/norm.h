#ifndef INFENG_CC_KERNELS_NORM_NORM_H_
#define INFENG_CC_KERNELS_NORM_NORM_H_

#include "cc/cpu/cpu.h"
#include "cc/kernels/norm/tier.h"

namespace infeng {

// The RMSNorm kernel of a tier that is compiled in and usable on this CPU.
const NormTier& NormKernels(Tier tier);

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_NORM_NORM_H_
