#ifndef INFENG_CC_KERNELS_ATTENTION_ATTENTION_H_
#define INFENG_CC_KERNELS_ATTENTION_ATTENTION_H_

#include "cc/cpu/cpu.h"
#include "cc/kernels/attention/tier.h"

namespace infeng {

// The attention kernels of a tier that is compiled in and usable on this CPU.
const AttentionTier& AttentionKernels(Tier tier);

// The layout of a block. head_dim is from 1 to kMaxHeadDim.
KvBlock MakeKvBlock(KvDtype dtype, size_t head_dim);

// "f32", "f16", "int8" or "int4".
const char* KvDtypeName(KvDtype dtype);

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_ATTENTION_H_
