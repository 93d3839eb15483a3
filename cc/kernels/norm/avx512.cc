#include "cc/kernels/simd/avx512.h"

#include "cc/kernels/norm/body.h"

namespace infeng {

const NormTier kNormAvx512 = {RmsNorm};

}  // namespace infeng
