#include "cc/kernels/simd/scalar.h"

#include "cc/kernels/activation/body.h"

namespace infeng {

const ActivationTier kActivationScalar = {SwiGlu, GeGlu, SoftCap, ExpAll};

}  // namespace infeng
