#include "cc/kernels/simd/avx512.h"

#include "cc/kernels/activation/body.h"

namespace infeng {

const ActivationTier kActivationAvx512 = {SwiGlu, GeGlu, SoftCap, ExpAll};

}  // namespace infeng
