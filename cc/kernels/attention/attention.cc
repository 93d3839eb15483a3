#include "cc/kernels/attention/attention.h"

#include "cc/cpu/compiled_tiers.h"

namespace infeng {
namespace {

// Lists have room for one element in 64: what that costs in memory is 1/20 of int8 codes.
constexpr size_t kElementsPerOutlier = 64;

size_t RoundUp64(size_t bytes) { return (bytes + 63) / 64 * 64; }

size_t PanelBytes(KvDtype dtype, size_t steps) {
  switch (dtype) {
    case KvDtype::kF32:
      return steps * 16 * 4;
    case KvDtype::kF16:
      return steps * 16 * 2;
    case KvDtype::kInt8:
      return steps * 16;
    case KvDtype::kInt4:
      return steps * 16 / 2;
  }
  return 0;
}

}  // namespace

const AttentionTier& AttentionKernels(Tier tier) {
  switch (tier) {
#if INFENG_TOP_TIER >= 2
    case Tier::kAmx:
    case Tier::kAvx512:
      return kAttentionAvx512;
#endif
#if INFENG_TOP_TIER >= 1
    case Tier::kAvx2:
      return kAttentionAvx2;
#endif
    default:
      return kAttentionScalar;
  }
}

KvBlock MakeKvBlock(KvDtype dtype, size_t head_dim) {
  KvBlock block = {};
  block.dtype = dtype;
  block.head_dim = head_dim;
  block.padded_dim = (head_dim + 15) / 16 * 16;
  block.key_panel_bytes = PanelBytes(dtype, block.padded_dim);
  block.value_panel_bytes = PanelBytes(dtype, kPagePositions);
  block.keys = 0;
  block.values = block.keys + kPagePositions / 16 * block.key_panel_bytes;
  block.bytes = block.values + block.padded_dim / 16 * block.value_panel_bytes;
  if (dtype == KvDtype::kF32 || dtype == KvDtype::kF16) return block;
  const size_t scale_bytes = kPagePositions * 2 * (dtype == KvDtype::kInt4 ? 2 : 1);
  block.max_outliers = kPagePositions * block.padded_dim / kElementsPerOutlier;
  const size_t list_bytes = RoundUp64(sizeof(KvOutliers) + block.max_outliers * sizeof(KvOutlier));
  block.key_scales = block.bytes;
  block.value_scales = block.key_scales + scale_bytes;
  block.key_outliers = block.value_scales + scale_bytes;
  block.value_outliers = block.key_outliers + list_bytes;
  block.bytes = block.value_outliers + list_bytes;
  return block;
}

const char* KvDtypeName(KvDtype dtype) {
  switch (dtype) {
    case KvDtype::kF32:
      return "f32";
    case KvDtype::kF16:
      return "f16";
    case KvDtype::kInt8:
      return "int8";
    case KvDtype::kInt4:
      return "int4";
  }
  return "";
}

}  // namespace infeng
