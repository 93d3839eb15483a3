#ifndef INFENG_CC_KERNELS_SAMPLE_SAMPLE_H_
#define INFENG_CC_KERNELS_SAMPLE_SAMPLE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "cc/base/status.h"

namespace infeng {

struct SampleParams {
  float temperature = 1.0f;  // finite, > 0; the logits are divided by it
  uint32_t top_k = 0;        // keep the k greatest; 0 keeps all
  float top_p = 1.0f;        // in (0, 1]: then keep the fewest that hold this share of the mass
  float min_p = 0.0f;        // in [0, 1]: first drop what is less likely than min_p times the best
  uint64_t seed = 0;
};

// InvalidArgument that names the parameter and its range.
Status CheckSampleParams(const SampleParams& params);

// The id of the greatest logit; the lowest of equals. InvalidArgument if there are none or one is
// NaN.
StatusOr<uint32_t> Argmax(std::span<const float> logits);

// Draws an id. A pure function of its arguments, the same on every CPU: candidates are ordered by
// (logit descending, id ascending), their weights are exp((logit - greatest) / temperature) by this
// module's own exponential in double (those below e^-36 are left out), and the random number comes
// from a counter-based generator with the seed as key and the position as counter, so that no state
// needs to be carried or replayed. InvalidArgument for bad parameters, no logits, or one that is
// NaN or +infinity.
StatusOr<uint32_t> Sample(std::span<const float> logits, const SampleParams& params,
                          uint64_t position);

struct TokenLogprob {
  uint32_t id;
  double logprob;  // natural logarithm of its probability at temperature 1, within 1e-12
};

// The token `id`, then the `count` likeliest in order of (logit descending, id ascending): the same
// on every CPU. InvalidArgument for an id outside, no logits, or one that is NaN or +infinity.
StatusOr<std::vector<TokenLogprob>> Logprobs(std::span<const float> logits, uint32_t id,
                                             size_t count);

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_SAMPLE_SAMPLE_H_
