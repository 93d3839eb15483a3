#include "py/infeng/native/tokenizer_bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "py/infeng/native/encoding_bindings.h"
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

// Of fewer bytes, what surrounds the work takes longer than the work: up to here ids are copied,
// and the GIL is kept.
constexpr size_t kShort = 512;

// An array that owns the Rust buffer: ids are not copied, unless they are few.
py::array_t<uint32_t> TakeIds(InfengIds ids) {
  if (ids.len <= kShort / sizeof(uint32_t)) {
    py::array_t<uint32_t> copy(static_cast<py::ssize_t>(ids.len));
    if (ids.len > 0) std::memcpy(copy.mutable_data(), ids.data, ids.len * sizeof(uint32_t));
    infeng_ids_free(ids);
    return copy;
  }
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
    if (PyList_CheckExact(ids.ptr())) copied_.reserve(PyList_GET_SIZE(ids.ptr()));
    for (const py::handle item : ids) copied_.push_back(CheckedId(item, copied_.size()));
  }

  const uint32_t* data() const { return borrowed_ ? data_ : copied_.data(); }
  size_t size() const { return borrowed_ ? size_ : copied_.size(); }

 private:
  static uint32_t CheckedId(py::handle item, size_t index) {
    if (PyLong_CheckExact(item.ptr())) {
      int overflow = 0;
      const long long value = PyLong_AsLongLongAndOverflow(item.ptr(), &overflow);
      if (overflow == 0 && value >= 0 && value <= UINT32_MAX) return static_cast<uint32_t>(value);
    }
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
  static Tokenizer FromFile(const py::object& path, size_t prefix_k, size_t prefix_entries) {
    PyObject* encoded = nullptr;
    if (PyUnicode_FSConverter(path.ptr(), &encoded) == 0) throw py::error_already_set();
    const auto owner = py::reinterpret_steal<py::bytes>(encoded);
    return Load(infeng_tokenizer_from_file, std::string_view(owner), prefix_k, prefix_entries);
  }

  static Tokenizer FromBytes(const py::bytes& json, size_t prefix_k, size_t prefix_entries) {
    return Load(infeng_tokenizer_from_bytes, std::string_view(json), prefix_k, prefix_entries);
  }

  py::array_t<uint32_t> Encode(const py::str& text, bool add_special_tokens,
                               bool encode_special_tokens) const {
    const std::string_view utf8 = Utf8(text, "text");
    InfengIds ids;
    char* error = nullptr;
    bool ok = false;
    {
      std::optional<py::gil_scoped_release> release;
      if (utf8.size() > kShort) release.emplace();
      ok = EncodeUtf8(utf8, Flags(add_special_tokens, encode_special_tokens), &ids, &error);
    }
    if (!ok) throw TakeError(error);
    return TakeIds(ids);
  }

  // All ids in one array, and where those of each text end.
  std::pair<py::array_t<uint32_t>, std::vector<size_t>> Flat(const std::vector<py::str>& texts,
                                                             uint32_t flags, size_t threads) const {
    std::vector<InfengInput> inputs;
    inputs.reserve(texts.size());
    for (const py::str& text : texts) {
      const std::string what = "texts[" + std::to_string(inputs.size()) + "]";
      inputs.push_back(Input(Utf8(text, what.c_str())));
    }
    std::vector<size_t> ends(inputs.size());
    InfengIds ids;
    char* error = nullptr;
    bool ok = false;
    {
      py::gil_scoped_release release;
      ok = infeng_tokenizer_encode_batch(handle_.get(), inputs.data(), inputs.size(), flags,
                                         threads, &ids, ends.data(), &error);
    }
    if (!ok) throw TakeError(error);
    return {TakeIds(ids), std::move(ends)};
  }

  std::vector<py::array_t<uint32_t>> EncodeBatch(const std::vector<py::str>& texts,
                                                 bool add_special_tokens,
                                                 bool encode_special_tokens, size_t threads) const {
    const auto [ids, ends] = Flat(texts, Flags(add_special_tokens, encode_special_tokens), threads);
    std::vector<py::array_t<uint32_t>> arrays;
    arrays.reserve(ends.size());
    size_t start = 0;
    for (const size_t end : ends) {
      // A part of the one array, which it keeps alive.
      arrays.emplace_back(static_cast<py::ssize_t>(end - start), ids.data() + start, ids);
      start = end;
    }
    return arrays;
  }

  std::pair<py::array_t<uint32_t>, py::array_t<int64_t>> EncodeFlat(
      const std::vector<py::str>& texts, bool add_special_tokens, bool encode_special_tokens,
      size_t threads) const {
    auto [ids, ends] = Flat(texts, Flags(add_special_tokens, encode_special_tokens), threads);
    py::array_t<int64_t> bounds(static_cast<py::ssize_t>(ends.size()) + 1);
    bounds.mutable_at(0) = 0;
    for (size_t i = 0; i < ends.size(); ++i) {
      bounds.mutable_at(i + 1) = static_cast<int64_t>(ends[i]);
    }
    return {std::move(ids), std::move(bounds)};
  }

  Encoding Full(const py::str& text, const std::optional<py::str>& pair, bool add_special_tokens,
                bool encode_special_tokens, const std::string& offsets) const {
    InfengInput input = Input(Utf8(text, "text"));
    if (pair) SetPair(&input, Utf8(*pair, "pair"));
    return std::move(
        FullInputs({input}, FullFlags(add_special_tokens, encode_special_tokens, offsets)).front());
  }

  // texts: str, or tuples of two str.
  std::vector<Encoding> FullBatch(const std::vector<py::object>& texts, bool add_special_tokens,
                                  bool encode_special_tokens, const std::string& offsets) const {
    std::vector<InfengInput> inputs;
    inputs.reserve(texts.size());
    for (const py::object& text : texts) {
      const std::string what = "texts[" + std::to_string(inputs.size()) + "]";
      if (py::isinstance<py::str>(text)) {
        inputs.push_back(Input(Utf8(text.cast<py::str>(), what.c_str())));
        continue;
      }
      const bool is_pair = py::isinstance<py::tuple>(text) && py::len(text) == 2 &&
                           py::isinstance<py::str>(text[py::int_(0)]) &&
                           py::isinstance<py::str>(text[py::int_(1)]);
      if (!is_pair) throw py::type_error(what + " is neither a str nor a tuple of two");
      // The tuple keeps its strings alive.
      inputs.push_back(Input(Utf8(text[py::int_(0)].cast<py::str>(), what.c_str())));
      SetPair(&inputs.back(), Utf8(text[py::int_(1)].cast<py::str>(), what.c_str()));
    }
    return FullInputs(inputs, FullFlags(add_special_tokens, encode_special_tokens, offsets));
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

  std::vector<py::str> DecodeBatch(const std::vector<py::object>& sequences,
                                   bool skip_special_tokens, size_t threads) const {
    std::vector<IdsView> views;
    views.reserve(sequences.size());
    for (const py::object& ids : sequences) views.emplace_back(ids);
    std::vector<const uint32_t*> data;
    std::vector<size_t> sizes;
    for (const IdsView& view : views) {
      data.push_back(view.data());
      sizes.push_back(view.size());
    }
    std::vector<InfengText> texts(views.size());
    char* error = nullptr;
    bool ok = false;
    {
      py::gil_scoped_release release;
      ok = infeng_tokenizer_decode_batch(handle_.get(), data.data(), sizes.data(), views.size(),
                                         skip_special_tokens, threads, texts.data(), &error);
    }
    if (!ok) throw TakeError(error);
    std::vector<py::str> strings;
    strings.reserve(texts.size());
    for (const InfengText& text : texts) strings.push_back(TakeText(text));
    return strings;
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
  static Tokenizer Load(Loader loader, std::string_view argument, size_t prefix_k,
                        size_t prefix_entries) {
    char* error = nullptr;
    Handle handle(nullptr, infeng_tokenizer_free);
    {
      py::gil_scoped_release release;
      handle.reset(loader(Bytes(argument), argument.size(), &error));
    }
    if (!handle) throw TakeError(error);
    infeng_tokenizer_set_prefix_cache(handle.get(), prefix_k, prefix_entries);
    return Tokenizer(std::move(handle));
  }

  static uint32_t Flags(bool add_special_tokens, bool encode_special_tokens) {
    return (add_special_tokens ? INFENG_ADD_SPECIAL_TOKENS : 0U) |
           (encode_special_tokens ? INFENG_ENCODE_SPECIAL_TOKENS : 0U);
  }

  static uint32_t FullFlags(bool add_special_tokens, bool encode_special_tokens,
                            const std::string& offsets) {
    if (offsets != "chars" && offsets != "bytes") {
      throw py::value_error("offsets is '" + offsets + "', not 'chars' or 'bytes'");
    }
    return Flags(add_special_tokens, encode_special_tokens) |
           (offsets == "bytes" ? INFENG_BYTE_OFFSETS : 0U);
  }

  static InfengInput Input(std::string_view text) {
    return InfengInput{Bytes(text), text.size(), nullptr, 0};
  }

  static void SetPair(InfengInput* input, std::string_view pair) {
    input->pair = Bytes(pair);
    input->pair_len = pair.size();
  }

  std::vector<Encoding> FullInputs(const std::vector<InfengInput>& inputs, uint32_t flags) const {
    std::vector<InfengEncoding*> out(inputs.size());
    char* error = nullptr;
    bool ok = false;
    {
      py::gil_scoped_release release;
      ok = infeng_tokenizer_encode_full(handle_.get(), inputs.data(), inputs.size(), flags,
                                        out.data(), &error);
    }
    if (!ok) throw TakeError(error);
    return {out.begin(), out.end()};
  }

  bool EncodeUtf8(std::string_view text, uint32_t flags, InfengIds* ids, char** error) const {
    return infeng_tokenizer_encode(handle_.get(), Bytes(text), text.size(), flags, ids, error);
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
                        "Any Hugging Face tokenizer.json, with the answers of the "
                        "`tokenizers` package. Immutable and safe to share between threads.")
      .def_static("from_file", &Tokenizer::FromFile, py::arg("path"), py::kw_only(),
                  py::arg("prefix_k") = 0, py::arg("prefix_cache_entries") = 0,
                  "Load a tokenizer.json (path: str or os.PathLike).\n\n"
                  "prefix_k and prefix_cache_entries: keep the ids of so many beginnings of texts, "
                  "of up to so many bytes, for prompts that begin alike; 0: none.\n"
                  "Raises ValueError, one line that names file and field, if it cannot be read, "
                  "is damaged, or asks for what is not supported.")
      .def_static("from_bytes", &Tokenizer::FromBytes, py::arg("json"), py::kw_only(),
                  py::arg("prefix_k") = 0, py::arg("prefix_cache_entries") = 0,
                  "Load the contents of a tokenizer.json. Raises ValueError as from_file.")
      .def("encode", &Tokenizer::Encode, py::arg("text"), py::arg("add_special_tokens") = true,
           py::arg("encode_special_tokens") = false,
           "Return the ids of a text: array of uint32, shape (tokens,).\n\n"
           "Special tokens in the text are recognised, unless encode_special_tokens; "
           "add_special_tokens concerns those that the file's post-processor puts around a text.\n"
           "Raises ValueError if the text has a lone surrogate. Releases the GIL, but for a text "
           "of up to 512 bytes.")
      .def("encode_batch", &Tokenizer::EncodeBatch, py::arg("texts"),
           py::arg("add_special_tokens") = true, py::arg("encode_special_tokens") = false,
           py::arg("threads") = 0,
           "Return the ids of each text: list of arrays as from encode, parts of one array. "
           "threads: 0 for as many as the process may use. Releases the GIL.")
      .def("encode_batch_flat", &Tokenizer::EncodeFlat, py::arg("texts"),
           py::arg("add_special_tokens") = true, py::arg("encode_special_tokens") = false,
           py::arg("threads") = 0,
           "Return the ids of all texts in one array of uint32, and the bounds: array of int64, "
           "shape (texts + 1,); those of text i are ids[bounds[i]:bounds[i + 1]].")
      .def("encoding", &Tokenizer::Full, py::arg("text"), py::arg("pair") = py::none(),
           py::arg("add_special_tokens") = true, py::arg("encode_special_tokens") = false,
           py::arg("offsets") = "chars",
           "Return the Encoding of a text, or of a text and its pair: offsets (in 'chars' or "
           "'bytes'), tokens, masks beside the ids. Truncates and pads as the file says. "
           "Raises ValueError as encode. Releases the GIL.")
      .def("encoding_batch", &Tokenizer::FullBatch, py::arg("texts"),
           py::arg("add_special_tokens") = true, py::arg("encode_special_tokens") = false,
           py::arg("offsets") = "chars",
           "Return the Encoding of each text (str, or a tuple of two), padded alike: list.")
      .def("decode", &Tokenizer::Decode, py::arg("ids"), py::arg("skip_special_tokens") = false,
           "Return the text of ids (array of integers, shape (tokens,), or a sequence of int).\n\n"
           "Bytes that are not UTF-8 become U+FFFD. Raises ValueError that names the first id "
           "that no token has. Releases the GIL.")
      .def("decode_batch", &Tokenizer::DecodeBatch, py::arg("sequences"),
           py::arg("skip_special_tokens") = false, py::arg("threads") = 0,
           "Return the text of each sequence of ids: list of str. Releases the GIL.")
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
