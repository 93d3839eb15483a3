#include "cc/kernels/simd/avx512.h"

#include "cc/kernels/attention/body.h"

namespace infeng {

const AttentionTier kAttentionAvx512 = {Attend, StoreKv};

}  // namespace infeng
