#include "cc/model/linear.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "cc/model/half.h"

namespace infeng {
namespace {

constexpr size_t kPanel = 16;

template <typename T>
T* Reserve(AlignedBuffer<T>* buffer, size_t size) {
  if (buffer->size() < size) *buffer = AlignedBuffer<T>(size);
  return buffer->data();
}

// Panels a thread takes at a time: enough to go round evenly, not so few that taking them costs. A
// power of two, because kernels read the weights of some panels side by side.
size_t Grain(size_t panels, int threads) {
  constexpr size_t kMost = 64;
  if (threads == 1) return kMost;
  return std::bit_floor(std::clamp<size_t>(panels / (4 * static_cast<size_t>(threads)), 1, kMost));
}

}  // namespace

QuantizedRows LinearRunner::Reserve(size_t rows, const TensorView& weight, size_t digits) {
  const size_t groups = rows * digits * (weight.kp / weight.group);
  const bool wide = kernels_.Wide(rows);
  const size_t q_rows = wide ? RoundUp(rows, kWideTile) : rows;
  return {infeng::Reserve(&q_, q_rows * digits * weight.kp),
          infeng::Reserve(&scale_, groups),
          infeng::Reserve(&offset_, groups),
          infeng::Reserve(&sum_, groups),
          rows,
          digits,
          weight.kp,
          weight.group,
          wide};
}

void LinearRunner::PlanLora(size_t rows, std::span<const LinearJob> jobs) {
  constexpr size_t kLongest = 16;  // so that threads can share a long prompt
  shrinks_.clear();
  low_stride_ = 0;
  for (size_t j = 0; j < jobs.size(); ++j) {
    for (const LoraUse& use : jobs[j].loras) {
      low_stride_ = std::max(low_stride_, RoundUp(use.update->rank, 8));
      for (size_t at = 0; at < use.count; at += kLongest) {
        shrinks_.push_back({j, use.update, use.rows + at, std::min(kLongest, use.count - at)});
      }
    }
  }
  infeng::Reserve(&low_, jobs.size() * rows * low_stride_);
}

// What panels need of all rows: their quantised input and, where they have an adapter, A x.
void LinearRunner::Prepare(const float* x, size_t x_stride, const TensorView* quantised,
                           const QuantizedRows& q) {
  constexpr size_t kRows = 2 * kRowTile;
  const size_t parts = (q.rows + kRows - 1) / kRows;
  pool_->ParallelFor(parts + shrinks_.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (i < parts) {
        kernels_.quantize(
            {x, x_stride, quantised->k, i * kRows, std::min(q.rows, (i + 1) * kRows), q});
        continue;
      }
      const Shrink& part = shrinks_[i - parts];
      const LowRank& update = *part.update;
      lora_.shrink({update.a.data(), update.rank, update.kp, x, x_stride, part.rows, part.count,
                    update.scale, Low(part.job), low_stride_});
    }
  });
}

void LinearRunner::RunPanels(const LinearJob& job, size_t index, const float* x, size_t x_stride,
                             size_t rows, const QuantizedRows& q, size_t begin, size_t end) {
  const TensorView& w = *job.weight;
  const auto digits = static_cast<size_t>(w.activation_digits);
  switch (w.dtype) {
    case DType::kI8:
      kernels_.int8_linear(
          {w.i8, w.scale, digits, q, w.n, begin, end, job.y, job.y_stride, job.accumulate});
      break;
    case DType::kU4:
      kernels_.int4_linear(
          {w.u4, w.scale, digits, q, w.n, begin, end, job.y, job.y_stride, job.accumulate});
      break;
    case DType::kF32:
      kernels_.f32_linear({w.f32, w.kp, x, x_stride, rows, begin * kPanel,
                           std::min(w.n, end * kPanel), job.y, job.y_stride, job.accumulate});
      break;
  }
  if (job.bias != nullptr) {
    const size_t last = std::min(w.n, end * kPanel);
    for (size_t row = 0; row < rows; ++row) {
      float* y = job.y + row * job.y_stride;
      for (size_t n = begin * kPanel; n < last; ++n) y[n] += job.bias[n];
    }
  }
  for (const LoraUse& use : job.loras) {
    const LowRank& update = *use.update;
    lora_.expand({update.b.data(), update.rank, Low(index), low_stride_, use.rows, use.count, w.n,
                  begin, end, job.y, job.y_stride});
  }
}

void LinearRunner::Run(const float* x, size_t x_stride, size_t rows,
                       std::initializer_list<LinearJob> list) {
  const std::span<const LinearJob> jobs(list.begin(), list.size());
  const TensorView* quantised = nullptr;
  size_t digits = 0;
  size_t panels = 0;
  rows_ = rows;
  for (const LinearJob& job : jobs) {
    panels += RoundUp(job.weight->n, kPanel) / kPanel;
    if (job.weight->dtype == DType::kF32) continue;
    quantised = job.weight;
    digits = std::max<size_t>(digits, job.weight->activation_digits);
  }
  QuantizedRows q = {};
  if (quantised != nullptr) q = Reserve(rows, *quantised, digits);
  PlanLora(rows, jobs);
  Prepare(x, x_stride, quantised, q);

  pool_->ParallelFor(panels, Grain(panels, pool_->threads()), [&](size_t begin, size_t end) {
    size_t first = 0;  // the job's first panel among all
    for (size_t j = 0; j < jobs.size(); ++j) {
      const size_t last = first + RoundUp(jobs[j].weight->n, kPanel) / kPanel;
      const size_t from = std::max(begin, first);
      const size_t to = std::min(end, last);
      if (from < to) RunPanels(jobs[j], j, x, x_stride, rows, q, from - first, to - first);
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
