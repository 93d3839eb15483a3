#ifndef INFENG_PY_NATIVE_RAISE_H_
#define INFENG_PY_NATIVE_RAISE_H_

#include <utility>

#include "cc/base/status.h"

namespace infeng {

// Throws a failure as the Python exception of its code: ValueError (InvalidArgument, DataLoss,
// Unavailable), MemoryError (ResourceExhausted), RuntimeError (Internal), and not_found for
// NotFound. The GIL must be held. Does nothing if status is ok.
enum class NotFoundAs { kFileNotFoundError, kKeyError };
void RaiseIfError(const Status& status, NotFoundAs not_found);

// The value, or the exception.
template <class T>
T ValueOrRaise(StatusOr<T> result, NotFoundAs not_found) {
  RaiseIfError(result.status(), not_found);
  return std::move(result).value();
}

}  // namespace infeng

#endif  // INFENG_PY_NATIVE_RAISE_H_
