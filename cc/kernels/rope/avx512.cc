#include "cc/kernels/simd/avx512.h"

#include "cc/kernels/rope/body.h"

namespace infeng {

const RopeTier kRopeAvx512 = {Rope};

}  // namespace infeng
