#ifndef INFENG_CC_KERNELS_ATTENTION_TIER_H_
#define INFENG_CC_KERNELS_ATTENTION_TIER_H_

#include <stddef.h>
#include <stdint.h>

// Plain-C views, safe to share with code that is compiled for other instruction sets.
namespace infeng {

// The KV cache comes in pages of 64 positions; partial results are merged in order over chunks of
// 256 positions. Both are constants of the computation: a result depends on no other division.
constexpr size_t kPagePositions = 64;
constexpr size_t kChunkPositions = 256;
constexpr size_t kMaxHeadDim = 256;

// Causal attention of one row for the query heads that share one key-value head.
//
// For each chunk, in order, with n positions:
//   s[j] = (q . k[j], canonical order) * scale          m = max s[j]
//   p[j] = exp(s[j] - m)                                 l = sum of p, canonical order
//   o[d] = fma over j in order from +0: fma(p[j], v[j][d], o[d])
// The first chunk sets (M, L, O); each later one merges into it with M2 = max(M, m), a = exp(M -
// M2), The first chunk sets (M, L, O). Each later one merges into it:
//   N = max(M, m)   a = exp(M - N)   b = exp(m - N)
//   L = fma(L, a, l * b)   O[d] = fma(O[d], a, o[d] * b)   M = N
// The output is O[d] * (1 / L).
struct AttendArgs {
  const float* q;  // [heads][padded_dim]
  float* out;      // [heads][head_dim]
  size_t heads;
  size_t head_dim;    // at most kMaxHeadDim
  size_t padded_dim;  // head_dim rounded up to 16; q, K and V are zero beyond head_dim
  // pages[i] holds positions 64 i and on. From k_offset (v_offset) elements into a page on:
  // [64][padded_dim] keys (values) of this layer and key-value head.
  const void* const* pages;
  size_t k_offset, v_offset;
  size_t positions;  // at least 1: this row and those before it
  float scale;
  bool f16;  // elements are binary16, else f32
};

// Writes one key or value vector into the cache. To binary16 it rounds to nearest even, and what
// would become infinite is clamped to +-65504 (NaN stays NaN).
struct StoreKvArgs {
  const float* x;  // [n]
  size_t n;
  void* out;  // [padded_n], zero beyond n
  size_t padded_n;
  bool f16;
};

struct AttentionTier {
  void (*attend)(const AttendArgs&);
  void (*store_kv)(const StoreKvArgs&);
};

extern const AttentionTier kAttentionScalar;
extern const AttentionTier kAttentionAvx2;
extern const AttentionTier kAttentionAvx512;

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_TIER_H_
