#include "py/infeng/native/format_bindings.h"

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "cc/format/checksum.h"
#include "cc/format/model_file.h"
#include "py/infeng/native/raise.h"

namespace infeng {
namespace {

namespace py = pybind11;

// str or os.PathLike, as the file system wants it.
std::string PathOf(const py::object& path) {
  PyObject* encoded = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), &encoded) == 0) throw py::error_already_set();
  return py::reinterpret_steal<py::bytes>(encoded);
}

std::unique_ptr<ModelFile> Open(const py::object& path) {
  const std::string native = PathOf(path);
  StatusOr<std::unique_ptr<ModelFile>> file = [&] {
    const py::gil_scoped_release release;
    return ModelFile::Open(native);
  }();
  return ValueOrRaise(std::move(file), NotFoundAs::kFileNotFoundError);
}

py::str ReadInfq(const py::object& path) { return py::str(Open(path)->header_json()); }

py::bytes InfqSection(const py::object& path, const std::string& name) {
  const std::unique_ptr<ModelFile> file = Open(path);
  const std::string_view bytes = ValueOrRaise(file->section(name), NotFoundAs::kKeyError);
  return {bytes.data(), bytes.size()};
}

uint64_t Xxh3Of(const py::object& buffer) {
  // PyBUF_SIMPLE: one contiguous run of bytes, or BufferError.
  struct View {
    explicit View(PyObject* object) {
      if (PyObject_GetBuffer(object, &buffer, PyBUF_SIMPLE) != 0) throw py::error_already_set();
    }
    ~View() { PyBuffer_Release(&buffer); }
    Py_buffer buffer;
  } view(buffer.ptr());
  const py::gil_scoped_release release;
  return Xxh3({static_cast<const char*>(view.buffer.buf), static_cast<size_t>(view.buffer.len)});
}

}  // namespace

void BindFormat(py::module_& m) {
  m.def("read_infq", &ReadInfq, py::arg("path"),
        "Check all of an INFQ model file (path: str or os.PathLike) and return its header: str, "
        "one JSON object as docs/infq.md describes it.\n\n"
        "Raises FileNotFoundError, or ValueError, one line that names file, section or tensor, "
        "expected and found, for a file that is damaged or none of ours. Releases the GIL.");
  m.def("infq_section", &InfqSection, py::arg("path"), py::arg("name"),
        "Check an INFQ model file and return one of its sections ('tokenizer.json' or "
        "'chat_template'): bytes.\n\n"
        "Raises as read_infq, and KeyError if the file has no such section. Releases the GIL.");
  m.def("xxh3_64", &Xxh3Of, py::arg("buffer"),
        "Return the XXH3 sum (64 bits, seed 0; int) of a contiguous buffer.\n\n"
        "Raises TypeError or BufferError for what is not one. Releases the GIL.");
}

}  // namespace infeng
