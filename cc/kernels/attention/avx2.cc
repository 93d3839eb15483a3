#include "cc/kernels/attention/lanes/avx2.h"

#include "cc/kernels/attention/body.h"
#include "cc/kernels/attention/store.h"

namespace infeng {

const AttentionTier kAttentionAvx2 = {
    Attend, AttendChunks, MergePartials, StoreKv, QuantizeQuery, Exp2All, sizeof(Work),
};

}  // namespace infeng
