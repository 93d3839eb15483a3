#ifndef INFENG_CC_MODEL_ATTENTION_H_
#define INFENG_CC_MODEL_ATTENTION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/base/thread_pool.h"
#include "cc/cpu/cpu.h"
#include "cc/kernels/attention/attention.h"
#include "cc/kernels/rope/rope.h"
#include "cc/model/kv_layout.h"
#include "cc/model/rope_table.h"

namespace infeng {

// Where a token's key and value go, and whose it is: rows with the same `pages` are of one
// sequence.
struct KvRow {
  size_t position;
  void* const* pages;
};

// What a model's attention may do besides.
struct AttentionVariant {
  float soft_cap = 0.0f;   // 0: none
  size_t window = 0;       // 0: none
  float scale = 0.0f;      // of the scores; 0: 1 / sqrt(head_dim)
  size_t tile_tokens = 0;  // 0: chosen by DefaultTileTokens; no result depends on it
};

// Keys that fit in half of a 32 KiB first-level cache, from 16 to a chunk.
size_t DefaultTileTokens(const KvBlock& block);

// Attention of all layers over the rows of a step: plans how threads share the work, and owns the
// rotated queries. Not thread-safe.
class Attention {
 public:
  // `pool` must outlive it. heads is a multiple of layout.kv_heads.
  Attention(const KvLayout& layout, size_t heads, Tier tier, ThreadPool* pool,
            const AttentionVariant& variant = {});

  // Says which rows the following calls are about. Rows of one sequence follow one another in order
  // of position.
  void Plan(std::span<const KvRow> rows);

  // Rotates queries [rows][heads * head_dim] and keys, and writes keys and values
  // [rows][kv_heads * head_dim] to the pages. Rows are q_stride and kv_stride apart.
  void Store(size_t layer, const RopeTable& rope, const float* q, size_t q_stride, const float* k,
             const float* v, size_t kv_stride);

  // out [rows][heads * head_dim], rows out_stride apart. All positions before the rows' are in
  // their pages.
  void Attend(size_t layer, float* out, size_t out_stride);

  // Bytes of buffers and of each thread's working memory, for a step like the one planned.
  size_t scratch_bytes() const;

 private:
  // Rows of one sequence that share a page.
  struct Run {
    size_t begin, end;
  };
  // Rows and heads that one call of a kernel takes; chunks of them may be taken separately.
  struct Tile {
    size_t row, rows, kv_head, head, heads;  // head: within those that share the key-value head
    size_t first_chunk, chunks;
    size_t partials;  // offset of its partial results; kWhole if it is taken whole
  };
  struct Item {
    size_t tile, chunk_begin, chunk_end;
  };
  static constexpr size_t kWhole = static_cast<size_t>(-1);

  void AddTiles(size_t begin, size_t end);
  void Split();
  AttendArgs Args(const Tile& tile, size_t layer, float* out, size_t out_stride) const;
  size_t PartialStride(const Tile& tile) const;

  const KvLayout layout_;
  const size_t heads_, group_;
  const float scale_;
  const AttentionVariant variant_;
  const bool integer_;
  const AttentionTier& kernels_;
  const RopeTier& rope_;
  ThreadPool* pool_;

  std::vector<KvRow> rows_;
  std::vector<Run> runs_;
  std::vector<Tile> tiles_;
  std::vector<Item> items_;
  std::vector<size_t> split_;  // tiles whose chunks are taken separately
  // Queries [kv_heads][rows][group][padded_dim], so that a tile's follow one another.
  AlignedBuffer<float> q_f32_;
  AlignedBuffer<int16_t> q_i16_;
  AlignedBuffer<float> q_scale_;
  AlignedBuffer<float> partials_;
  size_t reserved_rows_ = 0;
};

}  // namespace infeng

#endif  // INFENG_CC_MODEL_ATTENTION_H_
