#include "cc/model/linear.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace infeng {
namespace {

constexpr size_t kPanel = 16;

template <typename T>
T* Reserve(AlignedBuffer<T>* buffer, size_t size) {
  if (buffer->size() < size) *buffer = AlignedBuffer<T>(size);
  return buffer->data();
}

// Panels a thread takes at a time: enough to go round evenly, not so few that taking them costs.
size_t Grain(size_t panels, int threads) {
  return std::clamp<size_t>(panels / (4 * static_cast<size_t>(threads)), 1, 64);
}

float HalfToFloat(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const auto mantissa = static_cast<float>(half & 1023);
  const float magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024.0F, exponent - 25);
  return half >> 15 != 0 ? -magnitude : magnitude;
}

}  // namespace

QuantizedRows LinearRunner::Quantize(const float* x, size_t x_stride, size_t rows,
                                     const TensorView& weight, size_t digits) {
  QuantizeArgs args = {};
  args.x = x;
  args.x_stride = x_stride;
  args.k = weight.k;
  args.out.rows = rows;
  args.out.digits = digits;
  args.out.kp = weight.kp;
  args.out.group = weight.group;
  const size_t groups = weight.kp / weight.group;
  args.out.q = Reserve(&q_, rows * digits * weight.kp);
  args.out.scale = Reserve(&scale_, rows * digits * groups);
  args.out.offset = Reserve(&offset_, rows * digits * groups);
  args.out.sum = Reserve(&sum_, rows * digits * groups);
  pool_->ParallelFor(rows, 2 * kRowTile, [this, args](size_t begin, size_t end) {
    QuantizeArgs part = args;
    part.row_begin = begin;
    part.row_end = end;
    kernels_.quantize(part);
  });
  return args.out;
}

void LinearRunner::Run(const float* x, size_t x_stride, size_t rows,
                       std::initializer_list<LinearJob> jobs) {
  const TensorView* quantised = nullptr;
  size_t digits = 0;
  size_t panels = 0;
  for (const LinearJob& job : jobs) {
    panels += RoundUp(job.weight->n, kPanel) / kPanel;
    if (job.weight->dtype == DType::kF32) continue;
    quantised = job.weight;
    digits = std::max<size_t>(digits, job.weight->activation_digits);
  }
  QuantizedRows q = {};
  if (quantised != nullptr) q = Quantize(x, x_stride, rows, *quantised, digits);

  const auto digits_of = [](const TensorView& w) {
    return static_cast<size_t>(w.activation_digits);
  };
  pool_->ParallelFor(panels, Grain(panels, pool_->threads()), [&](size_t begin, size_t end) {
    size_t first = 0;  // the job's first panel among all
    for (const LinearJob& job : jobs) {
      const TensorView& w = *job.weight;
      const size_t last = first + RoundUp(w.n, kPanel) / kPanel;
      const size_t from = std::max(begin, first);
      const size_t to = std::min(end, last);
      if (from < to && w.dtype == DType::kI8) {
        kernels_.int8_linear({w.i8, w.scale, digits_of(w), q, w.n, from - first, to - first, job.y,
                              job.y_stride, job.accumulate});
      } else if (from < to && w.dtype == DType::kU4) {
        kernels_.int4_linear({w.u4, w.scale, digits_of(w), q, w.n, from - first, to - first, job.y,
                              job.y_stride, job.accumulate});
      } else if (from < to) {
        kernels_.f32_linear({w.f32, w.kp, x, x_stride, rows, (from - first) * kPanel,
                             std::min(w.n, (to - first) * kPanel), job.y, job.y_stride,
                             job.accumulate});
      }
      first = last;
    }
  });
}

void DequantizeRow(const TensorView& weight, size_t row, float* out) {
  if (weight.dtype == DType::kF32) {
    std::memcpy(out, weight.f32 + row * weight.kp, weight.k * sizeof(float));
    return;
  }
  const size_t groups = weight.kp / weight.group;
  if (weight.dtype == DType::kU4) {
    const uint8_t* q = weight.u4 + row / kPanel * kPanel * weight.kp / 2 + row % kPanel * 4;
    const uint16_t* scale = weight.scale + row / kPanel * groups * 2 * kPanel + row % kPanel;
    for (size_t k = 0; k < weight.k; ++k) {
      const int byte = q[k / 8 * 64 + k % 4];
      const uint16_t* group = scale + k / weight.group * 2 * kPanel;
      out[k] =
          std::fma(HalfToFloat(group[0]), static_cast<float>(k % 8 < 4 ? byte & 15 : byte >> 4),
                   HalfToFloat(group[kPanel]));
    }
    return;
  }
  const int8_t* q = weight.i8 + row / kPanel * kPanel * weight.kp + row % kPanel * 4;
  const uint16_t* scale = weight.scale + row / kPanel * groups * kPanel + row % kPanel;
  for (size_t k = 0; k < weight.k; ++k) {
    const uint32_t bits = uint32_t{scale[k / weight.group * kPanel]} << 16;
    out[k] = std::bit_cast<float>(bits) * static_cast<float>(q[k / 4 * 64 + k % 4]);
  }
}

}  // namespace infeng
