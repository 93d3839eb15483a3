#include "py/infeng/native/encoding_bindings.h"

#include <pybind11/stl.h>

#include <utility>

namespace infeng {

namespace py = pybind11;

template <typename T>
py::array Encoding::Column(const T* data, std::vector<py::ssize_t> shape) const {
  auto holder = std::make_unique<std::shared_ptr<InfengEncoding>>(owner_);
  py::capsule owner(holder.get(),
                    [](void* p) { delete static_cast<std::shared_ptr<InfengEncoding>*>(p); });
  static_cast<void>(holder.release());  // the capsule has it
  py::array_t<T> array(std::move(shape), data, owner);
  // Columns are shared between all views of an encoding.
  array.attr("flags").attr("writeable") = false;
  return array;
}

py::array Encoding::Ids() const {
  const auto view = infeng_encoding_view(encoding_);
  return Column(view.ids, {static_cast<py::ssize_t>(view.len)});
}

py::array Encoding::TypeIds() const {
  const auto view = infeng_encoding_view(encoding_);
  return Column(view.type_ids, {static_cast<py::ssize_t>(view.len)});
}

py::array Encoding::Offsets() const {
  const auto view = infeng_encoding_view(encoding_);
  return Column(view.offsets, {static_cast<py::ssize_t>(view.len), 2});
}

// "None" is the greatest uint32, which is -1 as int32.
py::array Encoding::WordIds() const {
  const auto view = infeng_encoding_view(encoding_);
  return Column(reinterpret_cast<const int32_t*>(view.words), {static_cast<py::ssize_t>(view.len)});
}

py::array Encoding::SequenceIds() const {
  const auto view = infeng_encoding_view(encoding_);
  return Column(reinterpret_cast<const int32_t*>(view.sequences),
                {static_cast<py::ssize_t>(view.len)});
}

py::array Encoding::SpecialTokensMask() const {
  const auto view = infeng_encoding_view(encoding_);
  return Column(view.special_tokens_mask, {static_cast<py::ssize_t>(view.len)});
}

py::array Encoding::AttentionMask() const {
  const auto view = infeng_encoding_view(encoding_);
  return Column(view.attention_mask, {static_cast<py::ssize_t>(view.len)});
}

py::list Encoding::Tokens() const {
  const auto view = infeng_encoding_view(encoding_);
  py::list tokens;
  size_t start = 0;
  for (size_t i = 0; i < view.len; ++i) {
    const size_t end = view.token_ends[i];
    tokens.append(py::str(reinterpret_cast<const char*>(view.tokens) + start, end - start));
    start = end;
  }
  return tokens;
}

std::vector<Encoding> Encoding::Overflowing() const {
  std::vector<Encoding> parts;
  const size_t count = infeng_encoding_view(encoding_).overflowing;
  for (size_t i = 0; i < count; ++i) {
    parts.push_back(Encoding(owner_, infeng_encoding_overflowing(encoding_, i)));
  }
  return parts;
}

void BindEncoding(py::module_& m) {
  py::class_<Encoding>(m, "Encoding",
                       "Tokens of a text or a pair of texts, in columns of equal length. "
                       "Arrays are read-only views.")
      .def("__len__", &Encoding::Length)
      .def_property_readonly("ids", &Encoding::Ids, "Token ids: uint32, shape (tokens,).")
      .def_property_readonly("type_ids", &Encoding::TypeIds,
                             "The part of the input, as the post-processor numbers them: uint32, "
                             "shape (tokens,).")
      .def_property_readonly("offsets", &Encoding::Offsets,
                             "Start and end in the text, in the unit asked for: uint32, shape "
                             "(tokens, 2).")
      .def_property_readonly("word_ids", &Encoding::WordIds,
                             "The word of the pre-tokenizer; -1 for none: int32, shape (tokens,).")
      .def_property_readonly("sequence_ids", &Encoding::SequenceIds,
                             "0 for the text, 1 for its pair, -1 for neither: int32, shape "
                             "(tokens,).")
      .def_property_readonly("special_tokens_mask", &Encoding::SpecialTokensMask,
                             "1 for what the post-processor or padding added: uint8, shape "
                             "(tokens,).")
      .def_property_readonly("attention_mask", &Encoding::AttentionMask,
                             "0 for padding: uint8, shape (tokens,).")
      .def_property_readonly("tokens", &Encoding::Tokens, "The tokens' texts: list of str.")
      .def_property_readonly("overflowing", &Encoding::Overflowing,
                             "What truncation has cut off: list of Encoding.");
}

}  // namespace infeng
