#ifndef INFENG_CC_MODEL_LINEAR_H_
#define INFENG_CC_MODEL_LINEAR_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "cc/base/aligned_buffer.h"
#include "cc/base/status.h"
#include "cc/base/thread_pool.h"
#include "cc/cpu/cpu.h"
#include "cc/format/model_file.h"
#include "cc/kernels/gemm/gemm.h"
#include "cc/kernels/lora/lora.h"

namespace infeng {

inline size_t RoundUp(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// A low-rank update y += B (scale * (A x)) in the layout of cc/kernels/lora.
struct LowRank {
  size_t rank, n, kp;
  float scale;
  AlignedBuffer<uint16_t> a, b;
};

// The rows of a batch, as indices, to which an update applies. A row has at most one per job.
struct LoraUse {
  const LowRank* update;
  const uint32_t* rows;
  size_t count;
};

// One use of a weight matrix: y[row][n] (+)= W x, f32, int8 or int4 as the tensor is; then the
// bias, if there is one, and the low-rank updates are added.
struct LinearJob {
  const TensorView* weight;
  float* y;  // [rows][y_stride]
  size_t y_stride;
  bool accumulate;
  std::span<const LoraUse> loras = {};
  const float* bias = nullptr;  // [n]
};

// Runs linear layers on all threads. Owns the buffers for quantised activations and for A x.
class LinearRunner {
 public:
  LinearRunner(Tier tier, ThreadPool* pool)
      : kernels_(GemmKernels(tier)), lora_(LoraKernels(tier)), pool_(pool) {}

  // Runs jobs that share their input x [rows][x_stride] (zero from k to k rounded up to 16), whose
  // quantised weights have one group size. The input is quantised once, with as many digits as any
  // job asks for; the first digit is the same however many follow. Updates are added to a range of
  // outputs as soon as the base has made it, while it is in the cache.
  void Run(const float* x, size_t x_stride, size_t rows, std::initializer_list<LinearJob> jobs);

 private:
  // A x of some rows for a job, by index among those of Run.
  struct Shrink {
    size_t job;
    const LowRank* update;
    const uint32_t* rows;
    size_t count;
  };

  QuantizedRows Reserve(size_t rows, const TensorView& weight, size_t digits);
  void PlanLora(size_t rows, std::span<const LinearJob> jobs);
  void Prepare(const float* x, size_t x_stride, const TensorView* quantised,
               const QuantizedRows& q);
  void RunPanels(const LinearJob& job, size_t index, const float* x, size_t x_stride, size_t rows,
                 const QuantizedRows& q, size_t begin, size_t end);
  float* Low(size_t job) { return low_.data() + job * rows_ * low_stride_; }

  const GemmTier& kernels_;
  const LoraTier& lora_;
  ThreadPool* pool_;
  AlignedBuffer<int8_t> q_;
  AlignedBuffer<float> scale_;
  AlignedBuffer<int32_t> offset_;
  AlignedBuffer<float> sum_;
  // Of the jobs of one Run: [job][rows_][low_stride_].
  AlignedBuffer<float> low_;
  size_t rows_ = 0;
  size_t low_stride_ = 0;
  std::vector<Shrink> shrinks_;
};

// out[i] = weight(row, i) for i < k.
void DequantizeRow(const TensorView& weight, size_t row, float* out);

}  // namespace infeng

#endif  // INFENG_CC_MODEL_LINEAR_H_
