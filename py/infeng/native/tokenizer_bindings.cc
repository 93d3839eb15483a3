#include "py/infeng/native/tokenizer_bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rust/ffi/infeng_tokenizer.h"

namespace infeng {
namespace {

namespace py = pybind11;

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// An error string of the C ABI as a ValueError. Takes the string.
py::value_error TakeError(char* error) {
  std::unique_ptr<char, decltype(&infeng_error_free)> owner(error, infeng_error_free);
  return py::value_error(error);
}

py::str TakeText(InfengText text) {
  struct Owner {
    InfengText text;
    ~Owner() { infeng_text_free(text); }
  } owner{text};
  return py::str(reinterpret_cast<const char*>(text.data), text.len);
}

// An array that owns the Rust buffer: ids are not copied.
py::array_t<uint32_t> TakeIds(InfengIds ids) {
  auto holder = std::make_unique<InfengIds>(ids);
  py::capsule owner(holder.get(), [](void* p) {
    std::unique_ptr<InfengIds> held(static_cast<InfengIds*>(p));
    infeng_ids_free(*held);
  });
  static_cast<void>(holder.release());  // the capsule has it
  return py::array_t<uint32_t>(static_cast<py::ssize_t>(ids.len), ids.data, owner);
}

// The UTF-8 of a Python string, valid while the string lives.
std::string_view Utf8(const py::str& text, const char* what) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (data == nullptr) {
    py::error_already_set error;
    if (!error.matches(PyExc_UnicodeEncodeError)) throw error;
    const auto start = error.value().attr("start").cast<py::ssize_t>();
    throw py::value_error(std::string(what) + " has a lone surrogate at character " +
                          std::to_string(start) + ": it is not valid Unicode");
  }
  return {data, static_cast<size_t>(size)};
}

// Ids that C can read: borrowed from an array of uint32, else checked and copied.
class IdsView {
 public:
  explicit IdsView(const py::object& ids) {
    if (py::isinstance<py::array>(ids)) {
      const auto array = py::reinterpret_borrow<py::array>(ids);
      if (array.ndim() != 1) {
        throw py::value_error("ids has " + std::to_string(array.ndim()) +
                              " dimensions where 1 is needed");
      }
      const void* data = array.data();
      if (py::isinstance<py::array_t<uint32_t, py::array::c_style>>(array) &&
          reinterpret_cast<uintptr_t>(data) % alignof(uint32_t) == 0) {
        borrowed_ = array;
        data_ = static_cast<const uint32_t*>(data);
        size_ = static_cast<size_t>(array.size());
        return;
      }
    } else if (py::isinstance<py::str>(ids) || !py::isinstance<py::iterable>(ids)) {
      throw py::type_error("ids must be an array or a sequence of integers");
    }
    for (const py::handle item : ids) copied_.push_back(CheckedId(item, copied_.size()));
    data_ = copied_.data();
    size_ = copied_.size();
  }

  const uint32_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  static uint32_t CheckedId(py::handle item, size_t index) {
    const auto where = [&] { return "ids[" + std::to_string(index) + "]"; };
    const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(item.ptr()));
    if (!number) {
      PyErr_Clear();
      throw py::type_error(where() + " is not an integer");
    }
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
    if (overflow != 0 || value < 0 || value > UINT32_MAX) {
      throw py::value_error(where() + " is " + py::cast<std::string>(py::str(number)) +
                            ", which no token has");
    }
    return static_cast<uint32_t>(value);
  }

  py::object borrowed_;
  std::vector<uint32_t> copied_;
  const uint32_t* data_ = nullptr;
  size_t size_ = 0;
};

class DecodeStream {
 public:
  DecodeStream(const InfengTokenizer* tokenizer, bool skip_special_tokens)
      : handle_(infeng_decode_stream_new(tokenizer, skip_special_tokens),
                infeng_decode_stream_free) {}

  // The GIL is held: it orders the steps, and a step is shorter than giving it up.
  py::str Step(uint32_t id) {
    InfengText text;
    char* error = nullptr;
    if (!infeng_decode_stream_step(handle_.get(), id, &text, &error)) throw TakeError(error);
    return TakeText(text);
  }

  py::str Finish() {
    InfengText text;
    infeng_decode_stream_finish(handle_.get(), &text);
    return TakeText(text);
  }

 private:
  std::unique_ptr<InfengDecodeStream, decltype(&infeng_decode_stream_free)> handle_;
};

class Tokenizer {
 public:
  static Tokenizer FromFile(const py::object& path) {
    PyObject* encoded = nullptr;
    if (PyUnicode_FSConverter(path.ptr(), &encoded) == 0) throw py::error_already_set();
    const auto owner = py::reinterpret_steal<py::bytes>(encoded);
    return Load(infeng_tokenizer_from_file, std::string_view(owner));
  }

  static Tokenizer FromBytes(const py::bytes& json) {
    return Load(infeng_tokenizer_from_bytes, std::string_view(json));
  }

  py::array_t<uint32_t> Encode(const py::str& text, bool add_special_tokens) const {
    const std::string_view utf8 = Utf8(text, "text");
    InfengIds ids;
    char* error = nullptr;
    bool ok = false;
    {
      py::gil_scoped_release release;
      ok = EncodeUtf8(utf8, add_special_tokens, &ids, &error);
    }
    if (!ok) throw TakeError(error);
    return TakeIds(ids);
  }

  std::vector<py::array_t<uint32_t>> EncodeBatch(const std::vector<py::str>& texts,
                                                 bool add_special_tokens) const {
    std::vector<std::string_view> utf8;
    utf8.reserve(texts.size());
    for (const py::str& text : texts) {
      const std::string what = "texts[" + std::to_string(utf8.size()) + "]";
      utf8.push_back(Utf8(text, what.c_str()));
    }
    // Freed here whatever happens, unless an array has taken it.
    struct Batch {
      std::vector<InfengIds> ids;
      ~Batch() {
        for (const InfengIds& one : ids) infeng_ids_free(one);
      }
    } batch;
    batch.ids.reserve(utf8.size());
    char* error = nullptr;
    bool ok = true;
    {
      py::gil_scoped_release release;
      for (const std::string_view text : utf8) {
        InfengIds ids;
        ok = EncodeUtf8(text, add_special_tokens, &ids, &error);
        if (!ok) break;
        batch.ids.push_back(ids);
      }
    }
    if (!ok) throw TakeError(error);
    std::vector<py::array_t<uint32_t>> arrays;
    arrays.reserve(batch.ids.size());
    for (InfengIds& ids : batch.ids) {
      arrays.push_back(TakeIds(ids));
      ids = InfengIds{nullptr, 0};
    }
    return arrays;
  }

  py::str Decode(const py::object& ids, bool skip_special_tokens) const {
    const IdsView view(ids);
    InfengText text;
    char* error = nullptr;
    bool ok = false;
    {
      py::gil_scoped_release release;
      ok = infeng_tokenizer_decode(handle_.get(), view.data(), view.size(), skip_special_tokens,
                                   &text, &error);
    }
    if (!ok) throw TakeError(error);
    return TakeText(text);
  }

  DecodeStream Stream(bool skip_special_tokens) const {
    return DecodeStream(handle_.get(), skip_special_tokens);
  }

  std::optional<uint32_t> TokenToId(const py::str& token) const {
    const std::string_view utf8 = Utf8(token, "token");
    uint32_t id = 0;
    if (!infeng_tokenizer_token_to_id(handle_.get(), Bytes(utf8), utf8.size(), &id)) {
      return std::nullopt;
    }
    return id;
  }

  std::optional<py::str> IdToToken(uint32_t id) const {
    size_t size = 0;
    const uint8_t* token = infeng_tokenizer_id_to_token(handle_.get(), id, &size);
    if (token == nullptr) return std::nullopt;
    return py::str(reinterpret_cast<const char*>(token), size);
  }

  size_t VocabSize() const { return infeng_tokenizer_vocab_size(handle_.get()); }

  bool IsSpecial(uint32_t id) const { return infeng_tokenizer_is_special(handle_.get(), id); }

  py::dict SpecialTokens() const {
    size_t count = 0;
    const uint32_t* ids = infeng_tokenizer_special_ids(handle_.get(), &count);
    py::dict tokens;
    for (size_t i = 0; i < count; ++i) tokens[IdToToken(ids[i]).value()] = ids[i];
    return tokens;
  }

 private:
  using Handle = std::unique_ptr<InfengTokenizer, decltype(&infeng_tokenizer_free)>;

  explicit Tokenizer(Handle handle) : handle_(std::move(handle)) {}

  template <typename Loader>
  static Tokenizer Load(Loader loader, std::string_view argument) {
    char* error = nullptr;
    Handle handle(nullptr, infeng_tokenizer_free);
    {
      py::gil_scoped_release release;
      handle.reset(loader(Bytes(argument), argument.size(), &error));
    }
    if (!handle) throw TakeError(error);
    return Tokenizer(std::move(handle));
  }

  bool EncodeUtf8(std::string_view text, bool add_special_tokens, InfengIds* ids,
                  char** error) const {
    return infeng_tokenizer_encode(handle_.get(), Bytes(text), text.size(), add_special_tokens, ids,
                                   error);
  }

  Handle handle_;
};

}  // namespace

void BindTokenizer(py::module_& m) {
  py::class_<DecodeStream>(m, "DecodeStream",
                           "Turns ids into text one by one, in whole characters. The texts of "
                           "all steps and of finish() make up what Tokenizer.decode gives.")
      .def("step", &DecodeStream::Step, py::arg("id"),
           "Take one id (int) and return the characters that it completes, maybe none.\n\n"
           "Raises ValueError for an id that no token has; the stream is then as before.")
      .def("finish", &DecodeStream::Finish,
           "Return the rest: U+FFFD if a character is incomplete, else ''.");

  py::class_<Tokenizer>(m, "Tokenizer",
                        "Byte-level BPE from a Hugging Face tokenizer.json, with the ids of the "
                        "`tokenizers` package. Immutable and safe to share between threads.")
      .def_static("from_file", &Tokenizer::FromFile, py::arg("path"),
                  "Load a tokenizer.json (path: str or os.PathLike).\n\n"
                  "Raises ValueError, one line that names file and field, if it cannot be read, "
                  "is damaged, or asks for what is not supported.")
      .def_static("from_bytes", &Tokenizer::FromBytes, py::arg("json"),
                  "Load the contents of a tokenizer.json. Raises ValueError as from_file.")
      .def("encode", &Tokenizer::Encode, py::arg("text"), py::arg("add_special_tokens") = true,
           "Return the ids of a text: array of uint32, shape (tokens,).\n\n"
           "Special tokens in the text are recognised always; add_special_tokens concerns those "
           "that the file's post-processor puts around a text.\n"
           "Raises ValueError if the text has a lone surrogate. Releases the GIL.")
      .def("encode_batch", &Tokenizer::EncodeBatch, py::arg("texts"),
           py::arg("add_special_tokens") = true,
           "Return the ids of each text: list of arrays as from encode. Releases the GIL.")
      .def("decode", &Tokenizer::Decode, py::arg("ids"), py::arg("skip_special_tokens") = false,
           "Return the text of ids (array of integers, shape (tokens,), or a sequence of int).\n\n"
           "Bytes that are not UTF-8 become U+FFFD. Raises ValueError that names the first id "
           "that no token has. Releases the GIL.")
      .def("decode_stream", &Tokenizer::Stream, py::arg("skip_special_tokens") = false,
           "Return a new DecodeStream.")
      .def("token_to_id", &Tokenizer::TokenToId, py::arg("token"),
           "Return the id of a token as the file writes it ('Ġthe'), or None.")
      .def("id_to_token", &Tokenizer::IdToToken, py::arg("id"),
           "Return the token of an id as the file writes it, or None.")
      .def("is_special", &Tokenizer::IsSpecial, py::arg("id"),
           "Return whether the id is an added token marked special.")
      .def_property_readonly("special_tokens", &Tokenizer::SpecialTokens,
                             "The added tokens marked special: dict of token to id.")
      .def_property_readonly("vocab_size", &Tokenizer::VocabSize,
                             "How many tokens there are, added ones among them. Ids may have gaps "
                             "and be greater.");
}

}  // namespace infeng
