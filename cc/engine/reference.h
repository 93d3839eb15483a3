#ifndef INFENG_CC_ENGINE_REFERENCE_H_
#define INFENG_CC_ENGINE_REFERENCE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "cc/format/model_file.h"
#include "cc/model/adapter.h"

namespace infeng {

// Logits [ids][vocab_size] of one sequence from position 0, in double, straight from the definition
// of the architecture: an oracle for tests. Shares no arithmetic with the engine.
std::vector<double> ReferenceLogits(const ModelFile& file, std::span<const uint32_t> ids,
                                    std::span<const AdapterTarget> adapter);

}  // namespace infeng

#endif  // INFENG_CC_ENGINE_REFERENCE_H_
