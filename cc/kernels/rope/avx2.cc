#include "cc/kernels/simd/avx2.h"

#include "cc/kernels/rope/body.h"

namespace infeng {

const RopeTier kRopeAvx2 = {Rope};

}  // namespace infeng
