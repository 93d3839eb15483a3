#ifndef INFENG_CC_MODEL_LINEAR_H_
#define INFENG_CC_MODEL_LINEAR_H_

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>

#include "cc/base/aligned_buffer.h"
#include "cc/base/status.h"
#include "cc/base/thread_pool.h"
#include "cc/cpu/cpu.h"
#include "cc/format/model_file.h"
#include "cc/kernels/gemm/gemm.h"

namespace infeng {

inline size_t RoundUp(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// One use of a weight matrix: y[row][n] (+)= W x, f32, int8 or int4 as the tensor is.
struct LinearJob {
  const TensorView* weight;
  float* y;  // [rows][y_stride]
  size_t y_stride;
  bool accumulate;
};

// Runs linear layers on all threads. Owns the buffers for quantised activations.
class LinearRunner {
 public:
  LinearRunner(Tier tier, ThreadPool* pool) : kernels_(GemmKernels(tier)), pool_(pool) {}

  // Runs jobs that share their input x [rows][x_stride] (zero from k to k rounded up to 16), whose
  // quantised weights have one group size. The input is quantised once, with as many digits as any
  // job asks for; the first digit is the same however many follow.
  void Run(const float* x, size_t x_stride, size_t rows, std::initializer_list<LinearJob> jobs);

 private:
  QuantizedRows Quantize(const float* x, size_t x_stride, size_t rows, const TensorView& weight,
                         size_t digits);

  const GemmTier& kernels_;
  ThreadPool* pool_;
  AlignedBuffer<int8_t> q_;
  AlignedBuffer<float> scale_;
  AlignedBuffer<int32_t> offset_;
  AlignedBuffer<float> sum_;
};

// out[i] = weight(row, i) for i < k.
void DequantizeRow(const TensorView& weight, size_t row, float* out);

}  // namespace infeng

#endif  // INFENG_CC_MODEL_LINEAR_H_
