// The Encoding of a text: ids, offsets, masks.

#ifndef INFENG_PY_NATIVE_ENCODING_BINDINGS_H_
#define INFENG_PY_NATIVE_ENCODING_BINDINGS_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "rust/ffi/infeng_tokenizer.h"

namespace infeng {

// An encoding, or a part that truncation has cut off one. Arrays point into it and keep it alive.
class Encoding {
 public:
  // Takes the encoding.
  explicit Encoding(InfengEncoding* encoding)
      : owner_(encoding, infeng_encoding_free), encoding_(encoding) {}

  pybind11::array Ids() const;
  pybind11::array TypeIds() const;
  pybind11::array Offsets() const;
  pybind11::array WordIds() const;
  pybind11::array SequenceIds() const;
  pybind11::array SpecialTokensMask() const;
  pybind11::array AttentionMask() const;
  pybind11::list Tokens() const;
  std::vector<Encoding> Overflowing() const;
  size_t Length() const { return infeng_encoding_view(encoding_).len; }

 private:
  Encoding(std::shared_ptr<InfengEncoding> owner, const InfengEncoding* encoding)
      : owner_(std::move(owner)), encoding_(encoding) {}

  template <typename T>
  pybind11::array Column(const T* data, std::vector<pybind11::ssize_t> shape) const;

  std::shared_ptr<InfengEncoding> owner_;
  const InfengEncoding* encoding_;
};

void BindEncoding(pybind11::module_& m);

}  // namespace infeng

#endif  // INFENG_PY_NATIVE_ENCODING_BINDINGS_H_
