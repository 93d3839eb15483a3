#include "cc/kernels/simd/scalar.h"

#include "cc/kernels/lora/body.h"

namespace infeng {

const LoraTier kLoraScalar = {Shrink, Expand};

}  // namespace infeng
