#include "cc/kernels/attention/lanes/scalar.h"

#include "cc/kernels/attention/body.h"
#include "cc/kernels/attention/store.h"

namespace infeng {

const AttentionTier kAttentionScalar = {
    Attend, AttendChunks, MergePartials, StoreKv, QuantizeQuery, Exp2All, sizeof(Work),
};

}  // namespace infeng
