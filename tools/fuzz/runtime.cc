// What libFuzzer needs from a program of ours.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

// Its archive was compiled against a glibc (2.38) newer than the sysroot's, whose headers call
// strtoul by this name. They differ for binary literals alone.
extern "C" unsigned long __isoc23_strtoul(  // NOLINT(bugprone-reserved-identifier)
    const char* text, char** end, int base) {
  return std::strtoul(text, end, base);
}

// `bazel run` starts a program among its run files. A fuzzer's corpora and the inputs that it
// writes down belong where it was started.
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const char* started = std::getenv("BUILD_WORKING_DIRECTORY");
  if (started != nullptr && chdir(started) != 0) {
    std::perror(started);
    std::exit(1);
  }
  return 0;
}
