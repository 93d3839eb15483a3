#ifndef INFENG_CC_FORMAT_MODEL_TENSORS_H_
#define INFENG_CC_FORMAT_MODEL_TENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cc/format/config.h"

namespace infeng {

// The tensors of a model by name, with their shapes: {N, K}, or {K} for the vectors of
// the norms.
std::map<std::string, std::vector<uint64_t>, std::less<>> ModelTensors(const ModelConfig& config);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_MODEL_TENSORS_H_
