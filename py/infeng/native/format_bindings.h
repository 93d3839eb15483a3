#ifndef INFENG_PY_NATIVE_FORMAT_BINDINGS_H_
#define INFENG_PY_NATIVE_FORMAT_BINDINGS_H_

#include <pybind11/pybind11.h>

namespace infeng {

// Adds read_infq, infq_section and xxh3_64 to the module.
void BindFormat(pybind11::module_& m);

}  // namespace infeng

#endif  // INFENG_PY_NATIVE_FORMAT_BINDINGS_H_
