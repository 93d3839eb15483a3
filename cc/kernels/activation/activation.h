#ifndef INFENG_CC_KERNELS_ACTIVATION_ACTIVATION_H_
#define INFENG_CC_KERNELS_ACTIVATION_ACTIVATION_H_

#include "cc/cpu/cpu.h"
#include "cc/kernels/activation/tier.h"

namespace infeng {

// The activation kernels of a tier that is compiled in and usable on this CPU.
const ActivationTier& ActivationKernels(Tier tier);

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ACTIVATION_ACTIVATION_H_
