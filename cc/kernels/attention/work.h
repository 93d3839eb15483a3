#ifndef INFENG_CC_KERNELS_ATTENTION_WORK_H_
#define INFENG_CC_KERNELS_ATTENTION_WORK_H_

// What one call works on and with. Include a tier's lanes header before this one.

#include "cc/kernels/attention/tier.h"

namespace infeng {
namespace {

constexpr float kInfinity = __builtin_inff();
constexpr float kLog2E = 0x1.715476p+0f;
constexpr size_t kPanels = kChunkPositions / 16;
// A row of scores becomes in place a row of weights; int16 ones leave room for outliers' sums.
constexpr size_t kOutlierSums = kChunkPositions / 2;
constexpr size_t kScoreStride = kOutlierSums + kMaxHeadDim;
static_assert(kScoreStride >= kChunkPositions);
// Constants, so that no row's address takes a register; not a power of two, for the caches' sake.
constexpr size_t kQueryStrideBytes = kMaxHeadDim * sizeof(float) + 64;
constexpr size_t kWeightStrideBytes = kScoreStride * sizeof(float);

inline size_t MinOf(size_t a, size_t b) { return a < b ? a : b; }
inline size_t MaxOf(size_t a, size_t b) { return a > b ? a : b; }

// What one call works on and with.
struct Work {
  const AttendArgs* args;
  size_t queries;
  alignas(64) char q[kMaxQueries][kQueryStrideBytes];  // a copy of the queries
  float scores[kMaxQueries][kScoreStride];             // of one chunk
  float key_scale[kChunkPositions], value_scale[kChunkPositions];
  float key_min[kChunkPositions], value_min[kChunkPositions];  // int4
  float greatest[kMaxQueries];                                 // weight of one chunk
  float value_factor[kMaxQueries];                             // of the integer sums
  float value_base[kMaxQueries];                               // int4: what the mins add
  float query_sum[kMaxQueries];                                // int4: of the integers
  float factor[kMaxQueries];                                   // of the scores of one chunk
  float max[kMaxQueries], sum[kMaxQueries];                    // of one chunk
  float old_factor[kMaxQueries], new_factor[kMaxQueries];
  bool active[kMaxQueries];  // has positions in this chunk
  float total_max[kMaxQueries], total_sum[kMaxQueries];
  float out[kMaxQueries][kMaxHeadDim];  // with stride padded_dim

  const char* Block(size_t position) const {
    return static_cast<const char*>(args->pages[position / kPagePositions]) + args->block_offset;
  }
};

// The positions that a row attends to, and of these the ones in a chunk that begins at `chunk`.
struct Range {
  size_t begin, end;
};

inline Range RowRange(const AttendArgs& a, size_t row) {
  const size_t end = a.position + row + 1;
  return {a.window != 0 && end > a.window ? end - a.window : 0, end};
}

inline Range Within(Range range, size_t chunk) {
  const size_t chunk_end = chunk + kChunkPositions;
  const size_t begin = MinOf(MaxOf(range.begin, chunk), chunk_end);
  return {begin - chunk, MaxOf(begin, MinOf(range.end, chunk_end)) - chunk};
}

inline const KvOutliers* OutliersAt(const char* block, size_t offset) {
  return reinterpret_cast<const KvOutliers*>(block + offset);
}

// Calls body(position in the chunk, entry) for each outlier of the chunk's positions in `range`.
template <class F>
inline void ForEachOutlier(const Work& w, size_t offset, size_t chunk, Range range, F body) {
  for (size_t page = range.begin / kPagePositions * kPagePositions; page < range.end;
       page += kPagePositions) {
    const KvOutliers* list = OutliersAt(w.Block(chunk + page), offset);
    const size_t last = MinOf(range.end - page, kPagePositions) - 1;
    const size_t count = list->end[last];
    if (count == 0) continue;
    size_t slot = 0;
    for (size_t e = 0; e < count; ++e) {
      while (list->end[slot] <= e) ++slot;
      if (page + slot >= range.begin) body(page + slot, list->entries[e]);
    }
  }
}

inline float LoadI16At(const char* p) {
  int16_t value;
  __builtin_memcpy(&value, p, 2);
  return static_cast<float>(value);
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_WORK_H_
