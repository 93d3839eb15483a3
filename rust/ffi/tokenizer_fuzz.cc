// Fuzz target of the loader of tokenizer.json, through the C ABI: any bytes are refused in one
// line, or are a tokenizer that encodes and decodes, or says in one line why not. A panic of Rust,
// which the ABI makes a message, is a crash here.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rust/ffi/infeng_tokenizer.h"
#include "tools/fuzz/mutate_json.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

constexpr size_t kMostMessage = 4096;
constexpr const char* kTexts[] = {
    "",
    "abc ab  cab\n\n\ta b12345's <s> \xc3\xa9\xe2\x96\x81",
    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd e\xcc\x81\xef\xac\x81",
    "  [UNK]un##able, ABC!",
};

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// Takes the message.
void CheckMessage(char* error) {
  const std::string_view message = error;
  const bool good = !message.empty() && message.size() <= kMostMessage &&
                    message.find('\n') == std::string_view::npos &&
                    !message.starts_with("tokenizer bug");
  if (!good) {
    std::fprintf(stderr, "message: %s\n", error);
    std::abort();
  }
  infeng_error_free(error);
}

void Decode(const InfengTokenizer* tokenizer, InfengIds ids, bool skip) {
  InfengText text;
  char* error = nullptr;
  if (infeng_tokenizer_decode(tokenizer, ids.data, ids.len, skip, &text, &error)) {
    infeng_text_free(text);
  } else {
    CheckMessage(error);
  }
  InfengDecodeStream* stream = infeng_decode_stream_new(tokenizer, skip);
  for (size_t i = 0; i < ids.len; ++i) {
    if (!infeng_decode_stream_step(stream, ids.data[i], &text, &error)) {
      CheckMessage(error);
      break;
    }
    infeng_text_free(text);
  }
  infeng_decode_stream_finish(stream, &text);
  infeng_text_free(text);
  infeng_decode_stream_free(stream);
}

void Use(const InfengTokenizer* tokenizer, std::string_view text) {
  char* error = nullptr;
  constexpr uint32_t kFlags[] = {0, INFENG_ADD_SPECIAL_TOKENS, INFENG_ENCODE_SPECIAL_TOKENS};
  for (const uint32_t flags : kFlags) {
    InfengIds ids;
    if (!infeng_tokenizer_encode(tokenizer, Bytes(text), text.size(), flags, &ids, &error)) {
      CheckMessage(error);
      continue;
    }
    Decode(tokenizer, ids, flags != 0);
    infeng_ids_free(ids);
  }
  const InfengInput inputs[] = {{Bytes(text), text.size(), nullptr, 0},
                                {Bytes(text), text.size(), Bytes("b a"), 3}};
  InfengEncoding* encodings[2];
  if (!infeng_tokenizer_encode_full(tokenizer, inputs, 2, INFENG_ADD_SPECIAL_TOKENS, encodings,
                                    &error)) {
    CheckMessage(error);
    return;
  }
  for (InfengEncoding* encoding : encodings) infeng_encoding_free(encoding);
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  // One in eight as libFuzzer does it: documents that are no JSON, or JSON of an odd form.
  if (seed % 8 != 0) {
    const std::string text =
        infeng::MutateJson({reinterpret_cast<const char*>(data), size}, seed / 8);
    if (!text.empty() && text.size() <= max_size) {
      std::copy(text.begin(), text.end(), data);
      return text.size();
    }
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  char* error = nullptr;
  InfengTokenizer* tokenizer = infeng_tokenizer_from_bytes(data, size, &error);
  if (tokenizer == nullptr) {
    CheckMessage(error);
    return 0;
  }
  for (const char* text : kTexts) Use(tokenizer, text);
  // Words of the document itself: its tokens are among them.
  const std::string_view own(reinterpret_cast<const char*>(data), std::min<size_t>(size, 4096));
  Use(tokenizer, own);
  infeng_tokenizer_free(tokenizer);
  return 0;
}
