#include "cc/kernels/simd/avx2.h"

#include "cc/kernels/activation/body.h"

namespace infeng {

const ActivationTier kActivationAvx2 = {SwiGlu, GeGlu, SoftCap, ExpAll};

}  // namespace infeng
