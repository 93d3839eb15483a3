#include "cc/kernels/simd/scalar.h"

#include "cc/kernels/attention/body.h"

namespace infeng {

const AttentionTier kAttentionScalar = {Attend, StoreKv};

}  // namespace infeng
