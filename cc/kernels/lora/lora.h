#ifndef INFENG_CC_KERNELS_LORA_LORA_H_
#define INFENG_CC_KERNELS_LORA_LORA_H_

#include "cc/cpu/cpu.h"
#include "cc/kernels/lora/tier.h"

namespace infeng {

// The kernels for low-rank updates of a tier that is compiled in and usable on this CPU.
const LoraTier& LoraKernels(Tier tier);

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_LORA_LORA_H_
