#include "cc/kernels/simd/avx2.h"

#include "cc/kernels/lora/body.h"

namespace infeng {

const LoraTier kLoraAvx2 = {Shrink, Expand};

}  // namespace infeng
