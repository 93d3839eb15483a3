#include "cc/kernels/simd/scalar.h"

#include "cc/kernels/rope/body.h"

namespace infeng {

const RopeTier kRopeScalar = {Rope};

}  // namespace infeng
