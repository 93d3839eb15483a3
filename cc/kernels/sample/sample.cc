#include "cc/kernels/sample/sample.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "cc/kernels/sample/philox.h"

namespace infeng {
namespace {

// e^x for x <= 0 within 1e-14 relative; 0 below -700. Additions and multiplications only.
double ExpNegative(double x) {
  if (x < -700.0) return 0.0;
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const double n = (x * 1.4426950408889634 + kMagic) - kMagic;
  const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
  double p = 1.0;
  for (int k = 13; k >= 1; --k) p = 1.0 + p * r / k;
  const uint64_t exponent = static_cast<uint64_t>(static_cast<int64_t>(n) + 1023);
  return p * std::bit_cast<double>(exponent << 52);
}

// Uniform in [0, 1), a multiple of 2^-53.
double Uniform(uint64_t seed, uint64_t position) {
  const auto random =
      Philox4x32({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), 0, 0},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = (uint64_t{random[0]} << 32 | random[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

struct Candidate {
  float logit;
  uint32_t id;
  double weight;
};

bool After(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit < b.logit : a.id > b.id;
}

bool Within(float value, float low, float high) { return value >= low && value <= high; }

}  // namespace

Status CheckSampleParams(const SampleParams& params) {
  if (!(params.temperature > 0.0f) || !std::isfinite(params.temperature)) {
    return InvalidArgument("temperature " + std::to_string(params.temperature) +
                           " is not a finite number above 0 (greedy choice is argmax)");
  }
  if (!Within(params.top_p, 0.0f, 1.0f) || params.top_p == 0.0f) {
    return InvalidArgument("top_p " + std::to_string(params.top_p) + " is not within (0, 1]");
  }
  if (!Within(params.min_p, 0.0f, 1.0f)) {
    return InvalidArgument("min_p " + std::to_string(params.min_p) + " is not within [0, 1]");
  }
  return Status();
}

StatusOr<uint32_t> Argmax(std::span<const float> logits) {
  if (logits.empty()) return InvalidArgument("there are no logits to choose from");
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) return InvalidArgument("logit " + std::to_string(i) + " is NaN");
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<uint32_t>(best);
}

StatusOr<uint32_t> Sample(std::span<const float> logits, const SampleParams& params,
                          uint64_t position) {
  INFENG_RETURN_IF_ERROR(CheckSampleParams(params));
  INFENG_ASSIGN_OR_RETURN(const uint32_t best, Argmax(logits));
  if (!std::isfinite(logits[best])) {
    return InvalidArgument("logit " + std::to_string(best) + " is not finite");
  }
  std::vector<Candidate> heap;
  heap.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const double x = (static_cast<double>(logits[i]) - static_cast<double>(logits[best])) /
                     static_cast<double>(params.temperature);
    const double weight = ExpNegative(x);
    if (weight >= static_cast<double>(params.min_p)) {
      heap.push_back({logits[i], static_cast<uint32_t>(i), weight});
    }
  }
  if (params.top_k > 0 && params.top_k < heap.size()) {
    const auto end = heap.begin() + params.top_k;
    std::nth_element(heap.begin(), end, heap.end(),
                     [](const Candidate& a, const Candidate& b) { return After(b, a); });
    heap.erase(end, heap.end());
    // The sum below is taken in order of id, whatever order the selection left.
    std::sort(heap.begin(), heap.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  }
  double total = 0.0;
  for (const Candidate& candidate : heap) total += candidate.weight;

  // A heap yields candidates in order as far as they are needed: rarely more than a few.
  std::make_heap(heap.begin(), heap.end(), After);
  auto end = heap.end();
  const auto take = [&]() -> const Candidate& {
    std::pop_heap(heap.begin(), end, After);
    return *--end;
  };
  const double uniform = Uniform(params.seed, position);
  if (params.top_p == 1.0f) {
    double mass = 0.0;
    while (end != heap.begin()) {
      const Candidate& candidate = take();
      mass += candidate.weight;
      if (mass > uniform * total) return candidate.id;
    }
    return best;  // sums in another order can differ in their last bits
  }
  std::vector<Candidate> kept;
  double mass = 0.0;
  while (end != heap.begin() && mass < static_cast<double>(params.top_p) * total) {
    kept.push_back(take());
    mass += kept.back().weight;
  }
  double sum = 0.0;
  for (const Candidate& candidate : kept) {
    sum += candidate.weight;
    if (sum > uniform * mass) return candidate.id;
  }
  return kept.back().id;
}

}  // namespace infeng
