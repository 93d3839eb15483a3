#ifndef INFENG_CC_KERNELS_ATTENTION_TIER_H_
#define INFENG_CC_KERNELS_ATTENTION_TIER_H_

#include <stddef.h>
#include <stdint.h>

// Plain-C views, safe to share with code that is compiled for other instruction sets.
namespace infeng {

// The KV cache comes in pages of 64 positions; partial results are merged in order over chunks of
// 256 positions, counted from position 0. Both are constants of the computation: a result depends
// on no other division.
constexpr size_t kPagePositions = 64;
constexpr size_t kChunkPositions = 256;
constexpr size_t kMaxHeadDim = 256;
// Rows times heads of one call.
constexpr size_t kMaxQueries = 48;

enum class KvDtype { kF32, kF16, kInt8, kInt4 };

// A block: the keys and values of 64 positions of one layer and key-value head, within a page.
// Offsets are in bytes from the start of the block; MakeKvBlock (attention.h) computes them.
//
// Keys and values are panels of 16 lanes, one panel after another. The lanes of a key panel are 16
// positions and its steps the dimensions; the lanes of a value panel are 16 dimensions and its
// steps the 64 positions. So both products of attention add up lane by lane, with one number of a
// query (of its weights) broadcast at each step. A panel is
//   f32, f16  [steps][16]
//   int8      [steps / 2][16][2]        pairs of steps, as vpmaddwd and vpdpwssd take them
//   int4      [steps / 4][16][2] bytes  two such pairs: low nibbles, then high nibbles
// Int8 keys (values) of a position are scale * q with q in -127..127; int4 ones are scale * u + min
// with u in 0..15, in both cases with a binary16 scale (and min) per position.
//
// Before they are quantised, keys and queries are rotated, because a few dimensions of many models'
// keys are far greater than the others (QuaRot, arXiv:2404.00456): x becomes H x over blocks of n
// dimensions, the greatest power of two that divides padded_dim; for h = 1, 2, 4 ... n / 2 and the
// pairs (d, d + h) of blocks of 2 h: (a, b) becomes (a + b, a - b). Products of two rotated vectors
// are n times the original ones.
//
// Outliers, in CSR: a quantised vector's greatest elements may be kept apart. They are 0 in the
// panel (int4: the code nearest to 0), and entry e = {value, dim} of the block's list adds
// scale * value to element dim. end[i] is the list's length after position i, so a position is
// rewritten by writing it again, and the list ends where the last position written ends.
struct KvBlock {
  KvDtype dtype;
  size_t head_dim, padded_dim;
  size_t key_panel_bytes, value_panel_bytes;
  size_t keys, values;
  size_t key_scales, value_scales;      // binary16 [64]; int4: scales, then mins
  size_t key_outliers, value_outliers;  // KvOutliers
  size_t max_outliers;                  // entries for which each list has room
  size_t bytes;
};

struct KvOutlier {
  int16_t value;
  uint16_t dim;
};

struct KvOutliers {
  uint16_t end[kPagePositions];
  KvOutlier entries[];
};

// Causal attention for `rows` consecutive positions of a sequence and the `heads` query heads that
// share a key-value head. Query i is head i % heads of row i / heads, which attends to position
// `position + row` and, if window is 0, to all before it, else to window - 1 of those before it.
//
// For the chunks that hold such positions, in order, with j over these positions and the scores
// y[j] * f in units of ln 2 (below):
//   m = (max y[j]) * f
//   p[j] = 2^fma(y[j], f, -m), 0 where the exponent is < -125      l = sum of p, canonical order
//   o[d]  the sum of p[j] v[j][d] (below)
// and (M, L, O), which begin as (-infinity, 0, 0), become
//   N = max(M, m)   a = 2^(M - N)   b = 2^(m - N)
//   L = fma(L, a, l * b)   O[d] = fma(O[d], a, o[d] * b)   M = N
// The output is O[d] * (1 / L).
//
// f32, f16:  y[j] = fma of q[d] k[j][d] over d in order from +0, f = scale * log2 e
//            o[d] = fma of p[j] v[j][d] over j in order from +0, then + 0
// int8, int4: the query is int16 with a scale (QuantizeQuery), and in each chunk so are the
//   weights. With c the codes in the panels and r the outliers' values, all sums of integers exact:
//   y[j] = (float(sum of q[d] c[j][d]) + outliers) * (key_scale[j] * (scale * log2 e / n)), f =
//   q_scale;
//     outliers by fma(float(q[d]), float(r), .) in the list's order;
//     int4: fma(float(sum of q[d]), key_min[j] * (scale * log2 e / n), .)
//   w[j] = p[j] * value_scale[j]      t = max w[j]      i[j] = rne(w[j] * (32767 / t))
//   o[d] = fma(float(sum of i[j] c[j][d]) + outliers, t * (1 / 32767), base); the outliers by
//     fma(float(i[j]), float(r), .) in the list's order from +0; base = 0,
//     int4: fma of p[j] value_min[j] in canonical order
//   32767 / t counts as 0 when it is not finite.
// soft_cap: y becomes (soft_cap * log2 e) * tanh(y * (f / log2 e / soft_cap)), then f = 1, with
//   tanh x = 1 - 2 / (1 + 2^(2 log2 e * x)).
struct AttendArgs {
  const void* q;         // [rows][heads][padded_dim] f32, or int16 if the cache is int8 or int4
  const float* q_scale;  // [rows][heads] of the int16
  size_t rows, heads;    // rows * heads is at most kMaxQueries
  size_t position;       // of the first row
  KvBlock block;
  const void* const* pages;  // pages[i] holds positions 64 i and on
  size_t block_offset;       // bytes from the start of a page to this layer's and head's block
  float scale;
  float soft_cap;      // 0: none
  size_t window;       // 0: none
  size_t tile_tokens;  // keys that all queries meet before the next: 16, 32, 64, 128 or 256
  float* out;          // row r, head h: out + r * out_stride + h * head_dim
  size_t out_stride;
};

// The chunks of one AttendArgs, taken separately: chunk c's (m, l, o) of query i goes to
// partials + (c - first_chunk) * stride + i * (padded_dim + 16): m, l, then o from 16 on. Then
// `merge` does what remains. first_chunk is the one that holds the first position of any row.
struct PartialArgs {
  const AttendArgs* attend;
  size_t chunk_begin, chunk_end;  // of 256 positions, for merge: all
  float* partials;
  size_t stride;
};

// Writes one position's key and value into a block. To binary16 it rounds to nearest even, and
// what would become infinite is clamped to +-65504 (NaN stays NaN). In int8 and int4 caches a
// vector that is not finite makes the key's scale NaN. Positions of a block are written in order.
struct StoreKvArgs {
  const float *k, *v;  // [head_dim]
  KvBlock block;
  void* out;    // the block
  size_t slot;  // 0..63
};

// x is rotated, then q = rne(x * (32767 / amax)), scale = amax / 32767 with amax = max |x|; both 0
// if 32767 / amax overflows; scale NaN and q 0 if amax is not finite.
struct QuantizeQueryArgs {
  const float* x;  // [padded_dim], padded_dim a multiple of 16
  size_t padded_dim;
  int16_t* q;
  float* scale;
};

struct AttentionTier {
  void (*attend)(const AttendArgs&);
  void (*attend_chunks)(const PartialArgs&);
  void (*merge)(const PartialArgs&);
  void (*store_kv)(const StoreKvArgs&);
  void (*quantize_query)(const QuantizeQueryArgs&);
  // The kernels' 2^x for x <= 0, of n values: for tests.
  void (*exp2)(const float* x, float* y, size_t n);
  size_t work_bytes;  // of stack that attend and attend_chunks take
};

extern const AttentionTier kAttentionScalar;
extern const AttentionTier kAttentionAvx2;
extern const AttentionTier kAttentionAvx512;

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_TIER_H_
