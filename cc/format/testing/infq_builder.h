#ifndef INFENG_CC_FORMAT_TESTING_INFQ_BUILDER_H_
#define INFENG_CC_FORMAT_TESTING_INFQ_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cc/format/config.h"

namespace infeng {

// Two layers, hidden 64, intermediate 96, heads 4 of 16 with 2 for keys and values, vocabulary 96,
// 512 positions, tied head.
ModelConfig TinyConfig();

struct InfqOptions {
  ModelConfig config = TinyConfig();
  bool int8 = true;   // else f32
  bool int4 = false;  // with int8: the layers in int4, embedding and head in int8
  uint32_t group = 32;
  uint32_t seed = 1;  // of the weights; those of both recipes stand for the same numbers
  std::string tokenizer = "{}";
  std::string chat_template;
  size_t header_room = 0;  // zero bytes kept after the header, so that a longer one has room
};

// The bytes of a valid INFQ file: a small Llama whose weights are random, of a size that keeps
// activations near 1.
std::string BuildInfq(const InfqOptions& options = {});

// Writes the bytes to a new file in the test's temporary folder and returns its path.
std::string WriteTestFile(std::string_view bytes);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_TESTING_INFQ_BUILDER_H_
