#include "cc/kernels/simd/scalar.h"

#include "cc/kernels/norm/body.h"

namespace infeng {

const NormTier kNormScalar = {RmsNorm};

}  // namespace infeng
