#ifndef INFENG_PY_NATIVE_ENGINE_BINDINGS_H_
#define INFENG_PY_NATIVE_ENGINE_BINDINGS_H_

#include <pybind11/pybind11.h>

namespace infeng {

// Adds the class Engine, argmax and sample to the module.
void BindEngine(pybind11::module_& m);

}  // namespace infeng

#endif  // INFENG_PY_NATIVE_ENGINE_BINDINGS_H_
