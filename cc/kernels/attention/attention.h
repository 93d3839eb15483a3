#ifndef INFENG_CC_KERNELS_ATTENTION_ATTENTION_H_
#define INFENG_CC_KERNELS_ATTENTION_ATTENTION_H_

#include "cc/cpu/cpu.h"
#include "cc/kernels/attention/tier.h"

namespace infeng {

// The attention kernels of a tier that is compiled in and usable on this CPU.
const AttentionTier& AttentionKernels(Tier tier);

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_ATTENTION_H_
