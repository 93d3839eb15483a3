#include "cc/format/extents.h"

#include <algorithm>
#include <string>

namespace infeng {
namespace {

std::string Range(uint64_t begin, uint64_t end) {
  return std::to_string(begin) + " to " + std::to_string(end);
}

Status CheckBounds(const Extent& extent, uint64_t header_end, uint64_t file_bytes) {
  if (extent.offset % kSectionAlignment != 0) {
    return DataLoss(extent.what + ": offset " + std::to_string(extent.offset) +
                    ", expected a multiple of " + std::to_string(kSectionAlignment));
  }
  if (extent.offset < header_end || extent.offset > file_bytes ||
      extent.bytes > file_bytes - extent.offset) {
    return DataLoss(extent.what + ": " + std::to_string(extent.bytes) + " bytes at " +
                    std::to_string(extent.offset) + ", expected to lie in bytes " +
                    Range(header_end, file_bytes) + " of the file");
  }
  return {};
}

Status CheckZero(std::string_view file, uint64_t begin, uint64_t end) {
  const size_t found = file.substr(0, end).find_first_not_of('\0', begin);
  if (found == std::string_view::npos) return {};
  return DataLoss("byte " + std::to_string(found) + " belongs to no section, expected it to be 0");
}

}  // namespace

Status CheckExtents(std::string_view file, uint64_t header_end, std::vector<Extent> extents) {
  for (const Extent& extent : extents) {
    INFENG_RETURN_IF_ERROR(CheckBounds(extent, header_end, file.size()));
  }
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
  });
  uint64_t end = header_end;
  const Extent* previous = nullptr;
  for (const Extent& extent : extents) {
    if (extent.offset < end) {
      return DataLoss(extent.what + ": begins at " + std::to_string(extent.offset) + ", inside " +
                      previous->what + ", which ends at " + std::to_string(end));
    }
    INFENG_RETURN_IF_ERROR(CheckZero(file, end, extent.offset));
    end = extent.offset + extent.bytes;
    previous = &extent;
  }
  if (end != file.size()) {
    return DataLoss("the last section ends at " + std::to_string(end) + ", the file at " +
                    std::to_string(file.size()));
  }
  return {};
}

std::string_view BytesOf(std::string_view file, const Extent& extent) {
  return file.substr(extent.offset, extent.bytes);
}

}  // namespace infeng
