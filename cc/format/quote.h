#ifndef INFENG_CC_FORMAT_QUOTE_H_
#define INFENG_CC_FORMAT_QUOTE_H_

#include <string>
#include <string_view>

namespace infeng {

// Text from a file for a message of one line: in quotes, cut to 80 bytes, with '?' for what is
// not printable ASCII.
std::string Quote(std::string_view text);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_QUOTE_H_
