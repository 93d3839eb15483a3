#ifndef INFENG_CC_FORMAT_TESTING_WHOLE_USE_H_
#define INFENG_CC_FORMAT_TESTING_WHOLE_USE_H_

#include <memory>
#include <string>

#include "cc/format/model_file.h"

namespace infeng {

// Reads all that an opened model hands out, or the message that refuses it. What is wrong with that
// in one line: a message that is not one clear line, weights that no kernel may see. Empty:
// nothing.
std::string FaultOf(const StatusOr<std::unique_ptr<ModelFile>>& opened, const std::string& path);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_TESTING_WHOLE_USE_H_
