#include "cc/kernels/simd/avx2.h"

#include "cc/kernels/norm/body.h"

namespace infeng {

const NormTier kNormAvx2 = {RmsNorm};

}  // namespace infeng
