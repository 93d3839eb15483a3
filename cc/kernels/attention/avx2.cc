#include "cc/kernels/simd/avx2.h"

#include "cc/kernels/attention/body.h"

namespace infeng {

const AttentionTier kAttentionAvx2 = {Attend, StoreKv};

}  // namespace infeng
