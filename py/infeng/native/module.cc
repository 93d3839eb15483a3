#include <pybind11/pybind11.h>

#include "py/infeng/native/cpu_bindings.h"
#include "py/infeng/native/encoding_bindings.h"
#include "py/infeng/native/engine_bindings.h"
#include "py/infeng/native/format_bindings.h"
#include "py/infeng/native/tokenizer_bindings.h"

PYBIND11_MODULE(_native, m) {
  m.doc() = "Native parts of infeng: use them through infeng.native.";
  infeng::BindEncoding(m);
  infeng::BindTokenizer(m);
  infeng::BindFormat(m);
  infeng::BindCpu(m);
  infeng::BindEngine(m);
}
