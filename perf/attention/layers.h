#ifndef INFENG_PERF_ATTENTION_LAYERS_H_
#define INFENG_PERF_ATTENTION_LAYERS_H_

// Attention of a model's layers over a cache with data in it, for the benchmarks.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/base/thread_pool.h"
#include "cc/cpu/cpu.h"
#include "cc/model/attention.h"

namespace infeng {

struct Shape {
  size_t ctx, heads_q, heads_kv, head_dim;
  size_t rows;  // the last ones of the context: 1 for decode
  // 0: as many as make 128 MiB of binary16, but 30 at most; 4 at most if rows > 1
  size_t layers;
};

// Values are normally distributed. Layers have the same values in memory of their own: a step reads
// each layer's cache once, so that a small cache is not measured as if it stayed in the first
// levels.
class Layers {
 public:
  Layers(KvDtype dtype, const Shape& shape, Tier tier, int threads, size_t tile_tokens);

  // Rotates, stores and attends to, for the last rows of the context, in all layers.
  void Step();

  const Shape& shape() const { return shape_; }
  // Multiplications and additions of a step: 4 * head_dim for each pair of a query and its key.
  double operations() const;
  // Bytes of keys and values that a step reads, what memory a sequence of this context and a step
  // take, outliers in the cache, and the model of bytes through the second-level cache per token.
  double kv_bytes() const;
  double scratch_bytes() const;
  double csr_outliers() const;
  double l2_bytes_per_token() const;
  size_t tile_tokens() const { return tile_tokens_; }
  // The last layer's output, [rows][heads_q * head_dim], and the root mean square of the values.
  const AlignedBuffer<float>& out() const { return out_; }
  double value_rms() const { return value_rms_; }

 private:
  const Shape shape_;
  const KvLayout layout_;
  const size_t tile_tokens_;
  ThreadPool pool_;
  RopeTable rope_;
  Attention attention_;
  std::vector<AlignedBuffer<uint8_t>> pages_;
  std::vector<void*> page_pointers_;
  AlignedBuffer<float> q_, k_, v_, out_;
  double value_rms_ = 0;
};

// sqrt(mean((o - o16)^2)) / rms of the values, and the norm of the difference over that of o16,
// with o16 from a binary16 cache of the same values.
struct Difference {
  double l2_diff, l2_rel;
};
Difference AgainstF16(const Layers& layers, const Layers& f16);

}  // namespace infeng

#endif  // INFENG_PERF_ATTENTION_LAYERS_H_
