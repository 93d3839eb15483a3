#include "cc/model/rope_table.h"

#include <algorithm>
#include <cstdint>

namespace infeng {
namespace {

// The positive root of r^n = c for 0 < c <= 1: Newton's iteration falls to it from 1.
double Root(double c, size_t n) {
  double r = 1.0;
  for (;;) {
    double power = 1.0;  // r^(n-1)
    for (size_t j = 1; j < n; ++j) power *= r;
    const double next = r - (power * r - c) / (static_cast<double>(n) * power);
    if (!(next < r)) return r;
    r = next;
  }
}

struct SinCos {
  double sin, cos;
};

// Cody and Waite's reduction by pi/2 in three parts (the first two have 33 bits, so that their
// products are exact below 2^20 turns), then Taylor series up to x^17, whose rest is below 1e-17.
SinCos SinCosOf(double angle) {
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const double turns = (angle * 0.63661977236758134308 + kMagic) - kMagic;
  const double x = ((angle - turns * 0x1.921fb544p+0) - turns * 0x1.0b4611a6p-34) -
                   turns * 0x1.3198a2e037073p-69;
  const double z = x * x;
  double s = 0.0;
  double c = 0.0;
  for (int k = 8; k >= 1; --k) {
    s = (1.0 + s) * -z / (2.0 * k * (2.0 * k + 1.0));
    c = (1.0 + c) * -z / (2.0 * k * (2.0 * k - 1.0));
  }
  const double sine = x + x * s;
  const double cosine = 1.0 + c;
  switch (static_cast<int64_t>(turns) & 3) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

}  // namespace

RopeTable::RopeTable(double theta, size_t head_dim, std::span<const double> factors, double scale)
    : half_(head_dim / 2), scale_(scale) {
  const double ratio = Root(1.0 / theta, half_);
  double frequency = 1.0;
  for (size_t i = 0; i < half_; ++i) {
    frequency_.push_back(factors.empty() ? frequency : frequency / factors[i]);
    frequency *= ratio;
  }
}

RopeTable RopeTable::Identity(size_t head_dim) {
  RopeTable table(1.0, head_dim);
  table.frequency_.assign(table.half_, 0.0);
  return table;
}

void RopeTable::Grow(size_t positions) {
  if (positions <= positions_) return;
  positions = std::max({positions, 2 * positions_, size_t{1024}});
  cos_.resize(positions * half_);
  sin_.resize(positions * half_);
  for (size_t at = positions_ * half_; at < positions * half_; ++at) {
    const double angle = static_cast<double>(at / half_) * frequency_[at % half_];
    const SinCos value = SinCosOf(angle);
    cos_[at] = static_cast<float>(value.cos * scale_);
    sin_[at] = static_cast<float>(value.sin * scale_);
  }
  positions_ = positions;
}

}  // namespace infeng
