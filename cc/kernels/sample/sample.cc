#include "cc/kernels/sample/sample.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>
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
constexpr size_t kBlock = 128;
// What is less likely than e^-36 times the best is never drawn: 49152 such tokens come to 1e-11.
constexpr double kLeastExponent = -36.0;
// A draw is first tried with those above e^-18 alone, mostly a small part: what all others can
// weigh together rarely changes which one is drawn, and if it could, all are weighed.
constexpr double kNearExponent = -18.0;
constexpr double kNearMinP = 2e-8;   // above e^-18: with such a min_p the near ones are all
constexpr double kRounding = 1e-10;  // beyond what sums of a vocabulary's weights round, relative

struct Candidate {
  float logit;
  uint32_t id;
  double weight;
};

bool After(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit < b.logit : a.id > b.id;
}

// Of one call, kept by the thread from call to call: no allocation in the steady state.
struct Scratch {
  std::vector<float> maxima;     // the greatest logit of each block of kBlock
  std::vector<uint32_t> ids;     // candidates in order of id
  std::vector<double> weights;   // theirs
  std::vector<Candidate> heap;   // those that may be drawn
  std::vector<Candidate> taken;  // from the heap
};

Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

bool Within(float value, float low, float high) { return value >= low && value <= high; }

// As Argmax; leaves the greatest logit of each block in `maxima`.
StatusOr<uint32_t> BlockMaxima(std::span<const float> logits, std::vector<float>& maxima) {
  if (logits.empty()) return InvalidArgument("there are no logits to choose from");
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  maxima.resize((logits.size() + kBlock - 1) / kBlock);
  uint32_t nan[kLanes] = {};
  size_t best_block = 0;
  for (size_t block = 0; block < maxima.size(); ++block) {
    // Lanes, so that the compiler takes vector registers; the greatest of all has no order.
    float greatest[kLanes];
    std::fill_n(greatest, kLanes, kLeast);
    const auto look = [&](size_t lane, float value) {
      greatest[lane] = value > greatest[lane] ? value : greatest[lane];
      nan[lane] |= value != value ? 1u : 0u;
    };
    const std::span<const float> own =
        logits.subspan(block * kBlock, std::min(kBlock, logits.size() - block * kBlock));
    if (own.size() == kBlock) {
      for (size_t i = 0; i < kBlock; i += kLanes) {
        for (size_t lane = 0; lane < kLanes; ++lane) look(lane, own[i + lane]);
      }
    } else {
      for (size_t i = 0; i < own.size(); ++i) look(i % kLanes, own[i]);
    }
    for (size_t half = kLanes / 2; half > 0; half /= 2) {
      for (size_t lane = 0; lane < half; ++lane) {
        greatest[lane] = std::max(greatest[lane], greatest[lane + half]);
      }
    }
    maxima[block] = greatest[0];
    if (greatest[0] > maxima[best_block]) best_block = block;
  }
  if (std::any_of(nan, nan + kLanes, [](uint32_t found) { return found != 0; })) {
    const auto first = std::find_if(logits.begin(), logits.end(), [](float v) { return v != v; });
    return InvalidArgument("logit " + std::to_string(first - logits.begin()) + " is NaN");
  }
  const auto from = logits.begin() + static_cast<std::ptrdiff_t>(best_block * kBlock);
  return static_cast<uint32_t>(std::find(from, logits.end(), maxima[best_block]) - logits.begin());
}

// As Argmax, and the greatest is finite too.
StatusOr<uint32_t> FiniteBest(std::span<const float> logits, std::vector<float>& maxima) {
  INFENG_ASSIGN_OR_RETURN(const uint32_t best, BlockMaxima(logits, maxima));
  if (!std::isfinite(logits[best])) {
    return InvalidArgument("logit " + std::to_string(best) + " is not finite");
  }
  return best;
}

// The candidates above e^least_exponent before top_k, into scratch.ids and weights in order of id;
// how many. Needs the maxima of the blocks: most blocks hold none and are not read again.
size_t Weigh(std::span<const float> logits, const SampleParams& params, double highest,
             double least_exponent, Scratch& scratch) {
  const auto temperature = static_cast<double>(params.temperature);
  const double cut = highest + least_exponent * temperature;
  std::vector<uint32_t>& ids = scratch.ids;
  std::vector<double>& weights = scratch.weights;
  ids.resize(logits.size());
  weights.resize(logits.size());
  size_t count = 0;
  for (size_t block = 0; block < scratch.maxima.size(); ++block) {
    if (static_cast<double>(scratch.maxima[block]) < cut) continue;
    const size_t end = std::min((block + 1) * kBlock, logits.size());
    for (size_t i = block * kBlock; i < end; ++i) {
      // Without a branch, which would be mispredicted: what is no candidate is overwritten.
      ids[count] = static_cast<uint32_t>(i);
      weights[count] = static_cast<double>(logits[i]);
      count += static_cast<double>(logits[i]) < cut ? 0 : 1;
    }
  }
  double* weight = weights.data();
  for (size_t i = 0; i < count; ++i) weight[i] = ExpNegative((weight[i] - highest) / temperature);
  const auto min_weight = static_cast<double>(params.min_p);
  if (min_weight == 0.0) return count;
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    ids[kept] = ids[i];
    weight[kept] = weight[i];
    kept += weight[i] >= min_weight ? 1 : 0;
  }
  return kept;
}

// The k first candidates, in order of id as they were: the sum of their weights is taken so.
size_t KeepTop(std::span<const float> logits, uint32_t k, size_t count, Scratch& scratch) {
  std::vector<Candidate>& all = scratch.heap;
  all.clear();
  for (size_t i = 0; i < count; ++i) {
    all.push_back({logits[scratch.ids[i]], scratch.ids[i], scratch.weights[i]});
  }
  const auto end = all.begin() + k;
  std::nth_element(all.begin(), end, all.end(),
                   [](const Candidate& a, const Candidate& b) { return After(b, a); });
  std::sort(all.begin(), end, [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  for (size_t i = 0; i < k; ++i) {
    scratch.ids[i] = all[i].id;
    scratch.weights[i] = all[i].weight;
  }
  return k;
}

// The id that is drawn with candidates above e^least_exponent, if those below could not change it;
// always with kLeastExponent. Every sum is of the same terms in the same order as with all.
std::optional<uint32_t> Draw(std::span<const float> logits, const SampleParams& params,
                             uint32_t best, double uniform, double least_exponent,
                             Scratch& scratch) {
  size_t count = Weigh(logits, params, static_cast<double>(logits[best]), least_exponent, scratch);
  bool all = least_exponent == kLeastExponent || static_cast<double>(params.min_p) >= kNearMinP;
  const size_t others = logits.size() - count;
  if (params.top_k > 0 && params.top_k <= count) {
    all = true;
    if (params.top_k < count) count = KeepTop(logits, params.top_k, count, scratch);
  }
  double total = 0.0;
  for (size_t i = 0; i < count; ++i) total += scratch.weights[i];
  // Of all candidates: between these.
  double low = total;
  double high = total;
  if (!all) {
    low *= 1.0 - kRounding;
    high += static_cast<double>(others) * ExpNegative(least_exponent);
    high *= 1.0 + kRounding;
  }
  // The heaviest up to this share of the mass are needed: those that top_p keeps, or those up to
  // the one that is drawn. All that are lighter than `least` come to less than half of the rest.
  const double share = params.top_p == 1.0f ? uniform : static_cast<double>(params.top_p);
  const double rest = 1.0 - share;
  // A rest that is near what sums round is no bound.
  const double least = rest < 1e-9 ? 0.0 : 0.5 * rest * low / static_cast<double>(logits.size());
  std::vector<Candidate>& heap = scratch.heap;
  heap.clear();
  for (size_t i = 0; i < count; ++i) {
    const uint32_t id = scratch.ids[i];
    if (!(scratch.weights[i] < least)) heap.push_back({logits[id], id, scratch.weights[i]});
  }

  // A heap yields candidates in order as far as they are needed: rarely more than a few.
  std::make_heap(heap.begin(), heap.end(), After);
  auto end = heap.end();
  const auto take = [&]() -> const Candidate& {
    std::pop_heap(heap.begin(), end, After);
    return *--end;
  };
  if (params.top_p == 1.0f) {
    double mass = 0.0;
    while (end != heap.begin()) {
      const Candidate& candidate = take();
      mass += candidate.weight;
      if (mass > uniform * high) return candidate.id;
      if (mass > uniform * low) return std::nullopt;
    }
    if (!all) return std::nullopt;
    return best;  // sums in another order can differ in their last bits
  }
  std::vector<Candidate>& kept = scratch.taken;
  kept.clear();
  double mass = 0.0;
  while (end != heap.begin() && mass < share * low) {
    kept.push_back(take());
    mass += kept.back().weight;
  }
  if (!all && mass < share * high) return std::nullopt;
  double sum = 0.0;
  for (const Candidate& candidate : kept) {
    sum += candidate.weight;
    if (sum > uniform * mass) return candidate.id;
  }
  return kept.back().id;
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
  return BlockMaxima(logits, ThreadScratch().maxima);
}

StatusOr<std::vector<TokenLogprob>> Logprobs(std::span<const float> logits, uint32_t id,
                                             size_t count) {
  INFENG_ASSIGN_OR_RETURN(const uint32_t best, FiniteBest(logits, ThreadScratch().maxima));
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
  Scratch& scratch = ThreadScratch();
  INFENG_ASSIGN_OR_RETURN(const uint32_t best, FiniteBest(logits, scratch.maxima));
  const double uniform = Uniform(params.seed, position);
  auto drawn = Draw(logits, params, best, uniform, kNearExponent, scratch);
  if (!drawn) drawn = Draw(logits, params, best, uniform, kLeastExponent, scratch);
  return *drawn;
}

}  // namespace infeng
