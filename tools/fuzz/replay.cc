// Gives a fuzz target's harness each of the files named on the command line, once. What libFuzzer
// itself does with files as arguments, in builds without it.

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// For harnesses with a mutator of their own: nothing is mutated here.
extern "C" size_t LLVMFuzzerMutate(uint8_t* /*data*/, size_t size, size_t /*max_size*/) {
  return size;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "no inputs: nothing would be tested\n");
    return 1;
  }
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    if (!file.is_open() || bytes.empty()) {
      std::fprintf(stderr, "%s: cannot be read, or is empty\n", argv[i]);
      return 1;
    }
    // Before the input, so that the last line names the one that crashes.
    std::fprintf(stderr, "%s: %zu bytes\n", argv[i], bytes.size());
    // A copy of just this size: what is read beyond it is seen by AddressSanitizer.
    const std::vector<uint8_t> input(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::fprintf(stderr, "%d inputs\n", argc - 1);
  return 0;
}
