#ifndef INFENG_CC_FORMAT_PRELUDE_H_
#define INFENG_CC_FORMAT_PRELUDE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cc/base/status.h"

namespace infeng {

inline constexpr size_t kPreludeBytes = 64;
inline constexpr uint32_t kFormatVersion = 1;
inline constexpr uint64_t kMaxHeaderBytes = 64 << 20;

// Checks the prelude, the file's length and the header's sum, and returns the header's JSON text.
// Error: DataLoss, without the file's name.
StatusOr<std::string_view> ReadPrelude(std::string_view file);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_PRELUDE_H_
