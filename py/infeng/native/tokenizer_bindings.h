#ifndef INFENG_PY_NATIVE_TOKENIZER_BINDINGS_H_
#define INFENG_PY_NATIVE_TOKENIZER_BINDINGS_H_

#include <pybind11/pybind11.h>

namespace infeng {

// Adds the classes Tokenizer and DecodeStream to the module.
void BindTokenizer(pybind11::module_& m);

}  // namespace infeng

#endif  // INFENG_PY_NATIVE_TOKENIZER_BINDINGS_H_
