#ifndef INFENG_CC_MODEL_ROPE_TABLE_H_
#define INFENG_CC_MODEL_ROPE_TABLE_H_

#include <cstddef>
#include <span>
#include <vector>

namespace infeng {

// Cosines and sines of the rotary embedding, times a scale: angle(position, i) = position *
// theta^(-2 i / head_dim) / factors[i] for i < head_dim / 2, in double, rounded once to f32.
//
// Computed without libm, whose results may depend on the CPU: additions, multiplications and
// divisions only, so that every machine has the same table. Within 6.1e-8 of the true value below
// position 2^20.
class RopeTable {
 public:
  // theta is at least 1, head_dim even and positive; factors [head_dim / 2], or empty: all 1.
  RopeTable(double theta, size_t head_dim, std::span<const double> factors = {},
            double scale = 1.0);

  // All angles 0: it turns nothing.
  static RopeTable Identity(size_t head_dim);

  // Makes the positions below `positions` available. Pointers from before become invalid.
  void Grow(size_t positions);

  const float* cos(size_t position) const { return cos_.data() + position * half_; }
  const float* sin(size_t position) const { return sin_.data() + position * half_; }

 private:
  size_t half_;
  size_t positions_ = 0;
  double scale_;
  std::vector<double> frequency_;  // [half]
  std::vector<float> cos_, sin_;   // [positions][half]
};

}  // namespace infeng

#endif  // INFENG_CC_MODEL_ROPE_TABLE_H_
