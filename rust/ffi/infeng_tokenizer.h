// C ABI of the tokenizer (Rust crate infeng_tokenizer_ffi).
//
// Handles are opaque. A tokenizer is immutable: any number of threads may use
// one at a time. A stream is for one thread at a time; it keeps its tokenizer
// alive by itself.
//
// Text is UTF-8, given by pointer and length, without a terminating NUL; a
// pointer may be null when its length is 0. Other pointers must not be null
// unless a comment says so.
//
// A function that can fail takes `error` last: on failure it stores there one
// line that names the culprit, to be given back with infeng_error_free, and
// leaves its other outputs untouched. On success it does not write to `error`.
// `error` may be null. No exception or panic leaves these functions.

#ifndef INFENG_RUST_FFI_INFENG_TOKENIZER_H_
#define INFENG_RUST_FFI_INFENG_TOKENIZER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct InfengTokenizer InfengTokenizer;
typedef struct InfengDecodeStream InfengDecodeStream;

// Token ids. The memory is Rust's: give it back with infeng_ids_free, as it came.
typedef struct InfengIds {
  uint32_t* data;
  size_t len;
} InfengIds;

// UTF-8 without a NUL. The memory is Rust's: give it back with infeng_text_free.
typedef struct InfengText {
  uint8_t* data;
  size_t len;
} InfengText;

// Loads a tokenizer.json. Null on failure. Free with infeng_tokenizer_free.
InfengTokenizer* infeng_tokenizer_from_file(const uint8_t* path, size_t path_len, char** error);

// Loads the contents of a tokenizer.json. Null on failure.
InfengTokenizer* infeng_tokenizer_from_bytes(const uint8_t* json, size_t json_len, char** error);

// Keeps the ids of up to `entries` beginnings of texts, of up to `bytes` bytes each, for prompts
// that begin alike. Changes no id. Only right after loading, before anything else uses the
// tokenizer.
void infeng_tokenizer_set_prefix_cache(InfengTokenizer* tokenizer, size_t bytes, size_t entries);

// Accepts null.
void infeng_tokenizer_free(InfengTokenizer* tokenizer);

// Flags of encoding.
enum {
  INFENG_ADD_SPECIAL_TOKENS = 1,     // what the post-processor puts around a text
  INFENG_ENCODE_SPECIAL_TOKENS = 2,  // special tokens in a text are text like any other
  INFENG_BYTE_OFFSETS = 4,           // offsets in bytes, not in code points
};

// The ids of a text. False on failure: not UTF-8, 4 GiB and longer, or what the model, the split
// pattern or the truncation of the file cannot take.
bool infeng_tokenizer_encode(const InfengTokenizer* tokenizer, const uint8_t* utf8, size_t utf8_len,
                             uint32_t flags, InfengIds* out, char** error);

// A text, and the second of its pair or null.
typedef struct InfengInput {
  const uint8_t* text;
  size_t text_len;
  const uint8_t* pair;
  size_t pair_len;
} InfengInput;

// The ids of `count` texts (pairs are not looked at), one after the other, and in `ends` (`count`
// elements) where those of each text end. `threads` work at it; 0: as many as the process may use.
// False on failure, as for infeng_tokenizer_encode.
bool infeng_tokenizer_encode_batch(const InfengTokenizer* tokenizer, const InfengInput* inputs,
                                   size_t count, uint32_t flags, size_t threads, InfengIds* out,
                                   size_t* ends, char** error);

// The texts of `count` sequences of ids into `out`; each is to be freed. False on failure, as for
// infeng_tokenizer_decode; nothing is then to be freed.
bool infeng_tokenizer_decode_batch(const InfengTokenizer* tokenizer, const uint32_t* const* ids,
                                   const size_t* lens, size_t count, bool skip_special_tokens,
                                   size_t threads, InfengText* out, char** error);

typedef struct InfengEncoding InfengEncoding;

// What an encoding holds: columns of `len` elements, valid while it lives.
typedef struct InfengEncodingView {
  size_t len;
  const uint32_t* ids;
  const uint32_t* type_ids;
  const uint32_t* offsets;    // start and end of each token, 2 * len
  const uint32_t* words;      // UINT32_MAX: none
  const uint32_t* sequences;  // UINT32_MAX: none
  const uint8_t* special_tokens_mask;
  const uint8_t* attention_mask;
  const uint8_t* tokens;     // UTF-8 of all tokens, one after the other
  const size_t* token_ends;  // where in it each token ends
  size_t overflowing;        // how many parts truncation has cut off
} InfengEncodingView;

// Encodings of `count` texts, padded alike, into `out`; each is to be freed. False on failure, as
// for infeng_tokenizer_encode; nothing is then to be freed.
bool infeng_tokenizer_encode_full(const InfengTokenizer* tokenizer, const InfengInput* inputs,
                                  size_t count, uint32_t flags, InfengEncoding** out, char** error);

InfengEncodingView infeng_encoding_view(const InfengEncoding* encoding);

// A part that truncation has cut off; it lives as long as the whole.
const InfengEncoding* infeng_encoding_overflowing(const InfengEncoding* encoding, size_t index);

// Accepts null.
void infeng_encoding_free(InfengEncoding* encoding);

// The text of ids. False on failure: an id that no token has.
bool infeng_tokenizer_decode(const InfengTokenizer* tokenizer, const uint32_t* ids, size_t len,
                             bool skip_special_tokens, InfengText* out, char** error);

// How many tokens there are, added ones among them.
size_t infeng_tokenizer_vocab_size(const InfengTokenizer* tokenizer);

// Whether the id is an added token marked special.
bool infeng_tokenizer_is_special(const InfengTokenizer* tokenizer, uint32_t id);

// The ids of all added tokens marked special. Lives as long as the tokenizer.
const uint32_t* infeng_tokenizer_special_ids(const InfengTokenizer* tokenizer, size_t* len);

// False, and *id untouched, when there is no such token.
bool infeng_tokenizer_token_to_id(const InfengTokenizer* tokenizer, const uint8_t* utf8,
                                  size_t utf8_len, uint32_t* id);

// UTF-8 that lives as long as the tokenizer; null when no token has the id.
const uint8_t* infeng_tokenizer_id_to_token(const InfengTokenizer* tokenizer, uint32_t id,
                                            size_t* len);

// A stream that decodes one id at a time. Free with infeng_decode_stream_free.
InfengDecodeStream* infeng_decode_stream_new(const InfengTokenizer* tokenizer,
                                             bool skip_special_tokens);

// Accepts null.
void infeng_decode_stream_free(InfengDecodeStream* stream);

// The characters that `id` completes, maybe none. False on failure: no token has
// the id; the stream is then as before.
bool infeng_decode_stream_step(InfengDecodeStream* stream, uint32_t id, InfengText* out,
                               char** error);

// Ends the text: U+FFFD if a character is incomplete. The stream may start anew.
void infeng_decode_stream_finish(InfengDecodeStream* stream, InfengText* out);

void infeng_ids_free(InfengIds ids);
void infeng_text_free(InfengText text);

// Accepts null.
void infeng_error_free(char* error);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // INFENG_RUST_FFI_INFENG_TOKENIZER_H_
