#include "py/infeng/native/raise.h"

#include <pybind11/pybind11.h>

namespace infeng {
namespace {

PyObject* ExceptionOf(StatusCode code, NotFoundAs not_found) {
  switch (code) {
    case StatusCode::kNotFound:
      return not_found == NotFoundAs::kKeyError ? PyExc_KeyError : PyExc_FileNotFoundError;
    case StatusCode::kResourceExhausted:
      return PyExc_MemoryError;
    case StatusCode::kInternal:
      return PyExc_RuntimeError;
    case StatusCode::kOk:
    case StatusCode::kInvalidArgument:
    case StatusCode::kDataLoss:
    case StatusCode::kUnavailable:
      break;
  }
  return PyExc_ValueError;
}

}  // namespace

void RaiseIfError(const Status& status, NotFoundAs not_found) {
  if (status.ok()) return;
  // Damaged files are quoted in messages: what is not UTF-8 must not become an error of its own.
  const auto text = pybind11::reinterpret_steal<pybind11::object>(
      PyUnicode_DecodeUTF8(status.message().data(),
                           static_cast<Py_ssize_t>(status.message().size()), "backslashreplace"));
  if (text) PyErr_SetObject(ExceptionOf(status.code(), not_found), text.ptr());
  throw pybind11::error_already_set();
}

}  // namespace infeng
