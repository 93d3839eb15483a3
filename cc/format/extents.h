#ifndef INFENG_CC_FORMAT_EXTENTS_H_
#define INFENG_CC_FORMAT_EXTENTS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "cc/base/status.h"
#include "cc/format/header.h"

namespace infeng {

inline constexpr uint64_t kSectionAlignment = 64;

// Checks that the extents are aligned, lie between the header's end and the file's, do not
// overlap, that what is between them is zero, and that the last one ends where the file does.
// Error: DataLoss, without the file's name.
Status CheckExtents(std::string_view file, uint64_t header_end, std::vector<Extent> extents);

// The bytes of an extent that CheckExtents accepted.
std::string_view BytesOf(std::string_view file, const Extent& extent);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_EXTENTS_H_
