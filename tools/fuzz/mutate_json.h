#ifndef INFENG_TOOLS_FUZZ_MUTATE_JSON_H_
#define INFENG_TOOLS_FUZZ_MUTATE_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace infeng {

// The document with one change that keeps it JSON: a value replaced by another one of the document,
// by a number or by another kind of value, dropped, doubled, or a string or key changed by
// libFuzzer. Empty if the text is no JSON or nests deeper than 64. Only in fuzz targets.
std::string MutateJson(std::string_view text, uint32_t seed);

}  // namespace infeng

#endif  // INFENG_TOOLS_FUZZ_MUTATE_JSON_H_
