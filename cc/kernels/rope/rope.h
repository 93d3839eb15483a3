#ifndef INFENG_CC_KERNELS_ROPE_ROPE_H_
#define INFENG_CC_KERNELS_ROPE_ROPE_H_

#include "cc/cpu/cpu.h"
#include "cc/kernels/rope/tier.h"

namespace infeng {

// The rotary embedding kernel of a tier that is compiled in and usable on this CPU.
const RopeTier& RopeKernels(Tier tier);

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ROPE_ROPE_H_
