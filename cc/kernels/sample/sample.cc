#include "cc/kernels/sample/sample.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "cc/kernels/sample/philox.h"

namespace infeng {
namespace {

// e^x for x <= 0 within 1e-14 relative; 0 below -700. Additions and multiplications only, and no
// branch, so that a loop over it runs in vector registers.
inline double ExpNegative(double x) {
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  constexpr double kInverseFactorial[] = {1.0,
                                          1.0,
                                          1.0 / 2,
                                          1.0 / 6,
                                          1.0 / 24,
                                          1.0 / 120,
                                          1.0 / 720,
                                          1.0 / 5040,
                                          1.0 / 40320,
                                          1.0 / 362880,
                                          1.0 / 3628800,
                                          1.0 / 39916800,
                                          1.0 / 479001600,
                                          1.0 / 6227020800.0};
  const double shifted = x * 1.4426950408889634 + kMagic;
  const double n = shifted - kMagic;
  const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
  double p = kInverseFactorial[13];
  for (int k = 12; k >= 0; --k) p = p * r + kInverseFactorial[k];
  // The low bits of `shifted` are n, so this is 2^n.
  const uint64_t exponent = (std::bit_cast<uint64_t>(shifted) + 1023) << 52;
  return x < -700.0 ? 0.0 : p * std::bit_cast<double>(exponent);
}

// ln x for x >= 1 within 1e-14 absolute plus relative. Additions, multiplications, divisions only.
double Log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // exact
  if (m < 0.70710678118654752) {
    m *= 2.0;
    --exponent;
  }
  // 2 artanh(s), |s| < 0.172: the series to s^21.
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double p = 0.0;
  for (int k = 21; k >= 1; k -= 2) p = p * z + 1.0 / k;
  return exponent * 0.69314718055994530942 + 2.0 * s * p;
}

// Uniform in [0, 1), a multiple of 2^-53.
double Uniform(uint64_t seed, uint64_t position) {
  const auto random =
      Philox4x32({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), 0, 0},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = (uint64_t{random[0]} << 32 | random[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

constexpr size_t kLanes = 16;
// What is less likely than e^-36 times the best is never drawn: 49152 such tokens come to 1e-11.
constexpr double kLeastExponent = -36.0;

struct Candidate {
  float logit;
  uint32_t id;
  double weight;
};

bool After(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit < b.logit : a.id > b.id;
}

bool Within(float value, float low, float high) { return value >= low && value <= high; }

// As Argmax, and the greatest is finite too.
StatusOr<uint32_t> FiniteBest(std::span<const float> logits) {
  INFENG_ASSIGN_OR_RETURN(const uint32_t best, Argmax(logits));
  if (!std::isfinite(logits[best])) {
    return InvalidArgument("logit " + std::to_string(best) + " is not finite");
  }
  return best;
}

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
  // Lanes, so that the compiler takes vector registers; the greatest of all has no order.
  float greatest[kLanes];
  uint32_t nan[kLanes] = {};
  std::fill_n(greatest, kLanes, -std::numeric_limits<float>::infinity());
  const auto look = [&](size_t lane, float value) {
    greatest[lane] = value > greatest[lane] ? value : greatest[lane];
    nan[lane] |= value != value ? 1u : 0u;
  };
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) look(lane, logits[i + lane]);
  }
  for (; i < logits.size(); ++i) look(0, logits[i]);
  if (std::any_of(nan, nan + kLanes, [](uint32_t found) { return found != 0; })) {
    i = 0;
    while (!std::isnan(logits[i])) ++i;
    return InvalidArgument("logit " + std::to_string(i) + " is NaN");
  }
  const float best = *std::max_element(greatest, greatest + kLanes);
  return static_cast<uint32_t>(std::find(logits.begin(), logits.end(), best) - logits.begin());
}

StatusOr<std::vector<TokenLogprob>> Logprobs(std::span<const float> logits, uint32_t id,
                                             size_t count) {
  INFENG_ASSIGN_OR_RETURN(const uint32_t best, FiniteBest(logits));
  if (id >= logits.size()) {
    return InvalidArgument("id " + std::to_string(id) + " is outside the vocabulary of " +
                           std::to_string(logits.size()));
  }
  const auto highest = static_cast<double>(logits[best]);
  double sums[kLanes] = {};
  for (size_t i = 0; i < logits.size(); ++i) {
    sums[i % kLanes] += ExpNegative(static_cast<double>(logits[i]) - highest);
  }
  double total = 0.0;
  for (const double sum : sums) total += sum;
  const double log_total = Log(total);
  const auto logprob = [&](uint32_t token) {
    return static_cast<double>(logits[token]) - static_cast<double>(logits[best]) - log_total;
  };
  std::vector<TokenLogprob> found = {{id, logprob(id)}};
  std::vector<uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min(count, order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](uint32_t a, uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  for (auto token = order.begin(); token != end; ++token) {
    found.push_back({*token, logprob(*token)});
  }
  return found;
}

StatusOr<uint32_t> Sample(std::span<const float> logits, const SampleParams& params,
                          uint64_t position) {
  INFENG_RETURN_IF_ERROR(CheckSampleParams(params));
  INFENG_ASSIGN_OR_RETURN(const uint32_t best, FiniteBest(logits));
  const auto highest = static_cast<double>(logits[best]);
  const auto temperature = static_cast<double>(params.temperature);
  const auto min_weight = static_cast<double>(params.min_p);
  const double cut = highest + kLeastExponent * temperature;
  thread_local std::vector<Candidate> heap;
  heap.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto logit = static_cast<double>(logits[i]);
    if (logit < cut) continue;
    const double weight = ExpNegative((logit - highest) / temperature);
    if (weight >= min_weight) heap.push_back({logits[i], static_cast<uint32_t>(i), weight});
  }
  if (params.top_k > 0 && params.top_k < heap.size()) {
    const auto end = heap.begin() + params.top_k;
    std::nth_element(heap.begin(), end, heap.end(),
                     [](const Candidate& a, const Candidate& b) { return After(b, a); });
    heap.erase(end, heap.end());
    // The sum is taken in order of id, whatever order the selection left.
    std::sort(heap.begin(), heap.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  }
  double total = 0.0;
  for (const Candidate& candidate : heap) total += candidate.weight;
  // All that are lighter than this come to less than half of what top_p leaves out.
  const double least =
      0.5 * (1.0 - static_cast<double>(params.top_p)) * total / static_cast<double>(logits.size());
  std::erase_if(heap, [&](const Candidate& candidate) { return candidate.weight < least; });

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
