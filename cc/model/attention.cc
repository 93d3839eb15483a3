#include "cc/model/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace infeng {
namespace {

constexpr size_t kFirstLevelCache = 32768;

size_t CeilDiv(size_t a, size_t b) { return (a + b - 1) / b; }

}  // namespace

size_t DefaultTileTokens(const KvBlock& block) {
  const size_t key_bytes = std::max<size_t>(block.key_panel_bytes / 16, 1);
  size_t tokens = kChunkPositions;
  while (tokens > 16 && tokens * key_bytes > kFirstLevelCache / 2) tokens /= 2;
  return tokens;
}

Attention::Attention(const KvLayout& layout, size_t heads, Tier tier, ThreadPool* pool,
                     const AttentionVariant& variant)
    : layout_(layout),
      heads_(heads),
      group_(heads / layout.kv_heads),
      scale_(variant.scale != 0 ? variant.scale
                                : 1.0f / std::sqrt(static_cast<float>(layout.block.head_dim))),
      variant_{variant.soft_cap, variant.window, scale_,
               variant.tile_tokens != 0 ? variant.tile_tokens : DefaultTileTokens(layout.block)},
      integer_(layout.block.dtype == KvDtype::kInt8 || layout.block.dtype == KvDtype::kInt4),
      kernels_(AttentionKernels(tier)),
      rope_(RopeKernels(tier)),
      pool_(pool) {}

void Attention::Plan(std::span<const KvRow> rows) {
  rows_.assign(rows.begin(), rows.end());
  runs_.clear();
  tiles_.clear();
  size_t sequence = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool follows = i > 0 && rows[i].pages == rows[i - 1].pages;
    if (follows && rows[i].position % kPagePositions != 0) {
      ++runs_.back().end;
    } else {
      runs_.push_back({i, i + 1});
    }
    if (i > 0 && !follows) {
      AddTiles(sequence, i);
      sequence = i;
    }
  }
  if (!rows.empty()) AddTiles(sequence, rows.size());
  Split();

  if (rows.size() > reserved_rows_) {
    reserved_rows_ = 0;  // should an allocation fail half-way
    const size_t queries = rows.size() * heads_;
    if (integer_) {
      q_i16_ = AlignedBuffer<int16_t>(queries * layout_.block.padded_dim);
      q_scale_ = AlignedBuffer<float>(queries);
    } else {
      q_f32_ = AlignedBuffer<float>(queries * layout_.block.padded_dim);
    }
    reserved_rows_ = rows.size();
  }
}

// Rows begin..end are of one sequence.
void Attention::AddTiles(size_t begin, size_t end) {
  const size_t heads = std::min(group_, kMaxQueries);
  const size_t rows = kMaxQueries / heads;
  for (size_t row = begin; row < end; row += rows) {
    const size_t count = std::min(rows, end - row);
    const size_t position = rows_[row].position;
    const size_t first =
        variant_.window != 0 && position + 1 > variant_.window ? position + 1 - variant_.window : 0;
    const size_t first_chunk = first / kChunkPositions;
    const size_t chunks = CeilDiv(position + count, kChunkPositions) - first_chunk;
    for (size_t kv_head = 0; kv_head < layout_.kv_heads; ++kv_head) {
      for (size_t head = 0; head < group_; head += heads) {
        tiles_.push_back({row, count, kv_head, head, std::min(heads, group_ - head), first_chunk,
                          chunks, kWhole});
      }
    }
  }
}

// Makes items of the tiles, few for each thread; the longest come first.
void Attention::Split() {
  constexpr size_t kItemsPerThread = 4;
  items_.clear();
  split_.clear();
  const auto cost = [](const Tile& t) { return t.rows * t.heads * t.chunks; };
  size_t total = 0;
  for (const Tile& tile : tiles_) total += cost(tile);
  const auto threads = static_cast<size_t>(pool_->threads());
  const size_t target = std::max<size_t>(CeilDiv(total, threads * kItemsPerThread), 1);
  size_t partials = 0;
  for (size_t i = 0; i < tiles_.size(); ++i) {
    Tile& tile = tiles_[i];
    size_t parts = threads == 1 ? 1 : std::min(CeilDiv(cost(tile), target), tile.chunks);
    if (parts <= 1) {
      items_.push_back({i, tile.first_chunk, tile.first_chunk + tile.chunks});
      continue;
    }
    tile.partials = partials;
    partials += tile.chunks * PartialStride(tile);
    split_.push_back(i);
    for (size_t part = 0; part < parts; ++part) {
      items_.push_back({i, tile.first_chunk + tile.chunks * part / parts,
                        tile.first_chunk + tile.chunks * (part + 1) / parts});
    }
  }
  // Not stable_sort, which allocates; the order of equal items changes no result.
  std::sort(items_.begin(), items_.end(), [&](const Item& a, const Item& b) {
    const auto size = [&](const Item& item) {
      return (item.chunk_end - item.chunk_begin) * tiles_[item.tile].rows * tiles_[item.tile].heads;
    };
    return size(a) > size(b);
  });
  if (partials > partials_.size()) partials_ = AlignedBuffer<float>(partials);
}

size_t Attention::PartialStride(const Tile& tile) const {
  return tile.rows * tile.heads * (layout_.block.padded_dim + 16);
}

void Attention::Store(size_t layer, const RopeTable& rope, const float* q, size_t q_stride,
                      const float* k, const float* v, size_t kv_stride) {
  const size_t dim = layout_.block.head_dim;
  const size_t padded = layout_.block.padded_dim;
  const size_t rows = rows_.size();
  constexpr size_t kGrain = 4;  // less is not worth a second thread
  pool_->ParallelFor(rows, kGrain, [&](size_t begin, size_t end) {
    alignas(64) float rotated[kMaxHeadDim];
    for (size_t i = begin; i < end; ++i) {
      const float* cos = rope.cos(rows_[i].position);
      const float* sin = rope.sin(rows_[i].position);
      for (size_t head = 0; head < heads_; ++head) {
        const size_t at = (head / group_ * rows + i) * group_ + head % group_;
        float* to = integer_ ? rotated : q_f32_.data() + at * padded;
        rope_.rope({q + i * q_stride + head * dim, 1, dim, cos, sin, to, padded});
        if (integer_) {
          kernels_.quantize_query(
              {rotated, padded, q_i16_.data() + at * padded, q_scale_.data() + at});
        }
      }
    }
  });
  // A page's positions are written in order.
  pool_->ParallelFor(runs_.size() * layout_.kv_heads, kGrain, [&](size_t begin, size_t end) {
    alignas(64) float rotated[kMaxHeadDim];
    for (size_t item = begin; item < end; ++item) {
      const Run& run = runs_[item / layout_.kv_heads];
      const size_t head = item % layout_.kv_heads;
      for (size_t i = run.begin; i < run.end; ++i) {
        const size_t position = rows_[i].position;
        const size_t at = i * kv_stride + head * dim;
        rope_.rope({k + at, 1, dim, rope.cos(position), rope.sin(position), rotated, padded});
        char* page = static_cast<char*>(rows_[i].pages[position / kPagePositions]);
        kernels_.store_kv({rotated, v + at, layout_.block, page + layout_.block_offset(layer, head),
                           position % kPagePositions});
      }
    }
  });
}

AttendArgs Attention::Args(const Tile& tile, size_t layer, float* out, size_t out_stride) const {
  const size_t query = (tile.kv_head * rows_.size() + tile.row) * group_ + tile.head;
  const size_t at = query * layout_.block.padded_dim;
  AttendArgs args = {};
  args.q = integer_ ? static_cast<const void*>(q_i16_.data() + at) : q_f32_.data() + at;
  args.q_scale = integer_ ? q_scale_.data() + query : nullptr;
  args.rows = tile.rows;
  args.heads = tile.heads;
  args.position = rows_[tile.row].position;
  args.block = layout_.block;
  args.pages = rows_[tile.row].pages;
  args.block_offset = layout_.block_offset(layer, tile.kv_head);
  args.scale = scale_;
  args.soft_cap = variant_.soft_cap;
  args.window = variant_.window;
  args.tile_tokens = variant_.tile_tokens;
  const size_t head = tile.kv_head * group_ + tile.head;
  args.out = out + tile.row * out_stride + head * layout_.block.head_dim;
  args.out_stride = out_stride;
  return args;
}

void Attention::Attend(size_t layer, float* out, size_t out_stride) {
  pool_->ParallelFor(items_.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const Item& item = items_[i];
      const Tile& tile = tiles_[item.tile];
      const AttendArgs args = Args(tile, layer, out, out_stride);
      if (tile.partials == kWhole) {
        kernels_.attend(args);
      } else {
        kernels_.attend_chunks({&args, item.chunk_begin, item.chunk_end,
                                partials_.data() + tile.partials, PartialStride(tile)});
      }
    }
  });
  pool_->ParallelFor(split_.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const Tile& tile = tiles_[split_[i]];
      const AttendArgs args = Args(tile, layer, out, out_stride);
      kernels_.merge({&args, tile.first_chunk, tile.first_chunk + tile.chunks,
                      partials_.data() + tile.partials, PartialStride(tile)});
    }
  });
}

size_t Attention::scratch_bytes() const {
  return q_f32_.size() * sizeof(float) + q_i16_.size() * sizeof(int16_t) +
         q_scale_.size() * sizeof(float) + partials_.size() * sizeof(float) +
         static_cast<size_t>(pool_->threads()) * kernels_.work_bytes;
}

}  // namespace infeng
