// Fuzz target of the INFQ reader: any bytes are refused in one clear line, or are a model that can
// be read whole.
//
// The inputs are INFQ files. Mutations change the prelude, the header's text, its values or the
// weights, and make the sums fit: else hardly an input would get beyond them.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include "cc/format/model_file.h"
#include "cc/format/testing/infq_builder.h"
#include "cc/format/testing/infq_edit.h"
#include "cc/format/testing/whole_use.h"
#include "tools/fuzz/mutate_json.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace infeng {
namespace {

constexpr size_t kPrelude = 64;

// A file without a name: nothing to write to a disk thousands of times a second.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("infq", 0)) {
    if (fd_ < 0) std::abort();
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  void Put(const uint8_t* data, size_t size) const {
    if (ftruncate(fd_, static_cast<off_t>(size)) != 0) std::abort();
    if (pwrite(fd_, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

std::string Healthy(uint32_t recipe) {
  InfqOptions options;
  options.int8 = recipe % 3 != 0;
  options.int4 = recipe % 3 == 1;
  options.config.hidden_size = 4;
  options.config.intermediate_size = 6;
  options.config.num_hidden_layers = 1;
  options.config.num_attention_heads = 2;
  options.config.num_key_value_heads = 1;
  options.config.head_dim = 2;
  options.config.vocab_size = 5;
  options.header_room = 256;
  options.chat_template = "{{ messages }}";
  return BuildInfq(options);
}

bool HasHeader(const std::string& file) {
  return file.size() > kPrelude && file.starts_with("INFQ") &&
         HeaderBytes(file) <= file.size() - kPrelude;
}

// Lets libFuzzer change the bytes from `begin` to `end`; what follows keeps its place.
void MutateBytes(std::string* file, size_t begin, size_t end) {
  std::string part(*file, begin, end - begin);
  part.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(part.data()), part.size(), part.size()));
  file->replace(begin, part.size(), part);
}

void Mutate(std::string* file, uint32_t seed) {
  std::mt19937 random(seed);
  const size_t header_end = kPrelude + HeaderBytes(*file);
  const uint32_t kind = random() % 16;
  if (kind == 0) {
    MutateBytes(file, 0, 56);
  } else if (kind <= 2 && header_end > kPrelude) {
    MutateBytes(file, kPrelude, header_end);
  } else if (kind <= 5 && header_end < file->size()) {
    MutateBytes(file, header_end, file->size());
  } else {
    const std::string text =
        MutateJson(std::string_view(*file).substr(kPrelude, header_end - kPrelude), random());
    if (!text.empty() && text.size() <= file->size() - kPrelude) ReplaceHeader(file, text);
  }
  if (file->size() > kPrelude && HeaderBytes(*file) <= file->size() - kPrelude) {
    ResealSections(file);
  }
}

}  // namespace
}  // namespace infeng

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  std::string file(reinterpret_cast<const char*>(data), size);
  // So that a run without any corpus has where to begin, too.
  if (!infeng::HasHeader(file)) file = infeng::Healthy(seed);
  if (seed % 64 == 0) {
    file.resize(max_size);
    file.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(file.data()), std::min(size, max_size),
                                 max_size));
  } else {
    infeng::Mutate(&file, seed);
  }
  if (file.size() > max_size) return size;
  std::copy(file.begin(), file.end(), data);
  return file.size();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const infeng::MemoryFile memory;
  memory.Put(data, size);
  const std::string path = memory.path();
  const std::string fault = infeng::FaultOf(infeng::ModelFile::Open(path), path);
  if (!fault.empty()) {
    std::fprintf(stderr, "%s\n", fault.c_str());
    std::abort();
  }
  return 0;
}
