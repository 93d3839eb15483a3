#ifndef INFENG_CC_FORMAT_MAPPED_FILE_H_
#define INFENG_CC_FORMAT_MAPPED_FILE_H_

#include <string>
#include <string_view>
#include <utility>

#include "cc/base/status.h"

namespace infeng {

// A regular file, mapped read-only for the life of this object.
class MappedFile {
 public:
  // Errors name the path: NotFound, InvalidArgument for what is not a regular, non-empty,
  // readable file, ResourceExhausted when it cannot be mapped.
  static StatusOr<MappedFile> Open(const std::string& path);

  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
};

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_MAPPED_FILE_H_
