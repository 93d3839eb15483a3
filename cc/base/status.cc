#include "cc/base/status.h"

#include <cstdio>
#include <cstdlib>

namespace infeng::status_internal {

void Die(const char* what, const Status& status) {
  std::fprintf(stderr, "infeng: bug: %s: %s\n", what, status.message().c_str());
  std::abort();
}

}  // namespace infeng::status_internal
