#include "cc/kernels/simd/avx512.h"

#include "cc/kernels/lora/body.h"

namespace infeng {

const LoraTier kLoraAvx512 = {Shrink, Expand};

}  // namespace infeng
