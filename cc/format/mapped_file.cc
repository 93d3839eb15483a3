#include "cc/format/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

namespace infeng {
namespace {

struct FileDescriptor {
  ~FileDescriptor() {
    if (fd >= 0) close(fd);
  }
  int fd;
};

std::string ErrorText(int error) {
  char buffer[128];
  return strerror_r(error, buffer, sizeof(buffer));
}

Status OpenError(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) return NotFound(path + ": no such file");
  return InvalidArgument(path + ": cannot be opened: " + ErrorText(error));
}

}  // namespace

StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  // Without O_NONBLOCK, a pipe would make us wait for its writer.
  const FileDescriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) return OpenError(path, errno);
  struct stat info = {};
  if (fstat(file.fd, &info) != 0) return OpenError(path, errno);
  if (S_ISDIR(info.st_mode)) return InvalidArgument(path + ": is a folder, not a file");
  if (!S_ISREG(info.st_mode)) return InvalidArgument(path + ": is not a regular file");
  if (info.st_size == 0) return DataLoss(path + ": the file is empty");

  const auto size = static_cast<uint64_t>(info.st_size);
  void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (memory == MAP_FAILED) {
    return ResourceExhausted(path + ": " + std::to_string(size) +
                             " bytes cannot be mapped: " + ErrorText(errno));
  }
  // All of it is about to be read, from the front; failure to say so costs time only.
  madvise(memory, size, MADV_WILLNEED);
  MappedFile mapped;
  mapped.bytes_ = {static_cast<const char*>(memory), size};
  return mapped;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

}  // namespace infeng
