#ifndef INFENG_PY_NATIVE_CPU_BINDINGS_H_
#define INFENG_PY_NATIVE_CPU_BINDINGS_H_

#include <pybind11/pybind11.h>

namespace infeng {

// Adds cpu_info and choose_tier to the module.
void BindCpu(pybind11::module_& m);

}  // namespace infeng

#endif  // INFENG_PY_NATIVE_CPU_BINDINGS_H_
