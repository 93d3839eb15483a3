#ifndef INFENG_CC_FORMAT_TENSOR_VIEW_H_
#define INFENG_CC_FORMAT_TENSOR_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace infeng {

enum class DType { kF32, kI8, kU4 };

// A weight in the layout that the kernels read (docs/infq.md, Layouts); the data are 64-byte
// aligned. A vector of K is a matrix of one row.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  size_t n = 0;   // outputs (rows)
  size_t k = 0;   // inputs (columns)
  size_t np = 0;  // rows in store: n for f32, else n rounded up to 16
  size_t kp = 0;  // columns in store: k rounded up to 16 for f32, else to the group

  const float* f32 = nullptr;  // dtype kF32: rows, [np][kp]

  const int8_t* i8 = nullptr;  // dtype kI8: panel16x4, [np/16][kp/4][16][4], -127 to 127

  const uint8_t* u4 = nullptr;  // dtype kU4: panel16x8, [np/16][kp/8][16][4] bytes of two

  // kI8: bits of bfloat16, [np/16][kp/group][16]. kU4: bits of binary16, scales then minima,
  // [np/16][kp/group][2][16].
  const uint16_t* scale = nullptr;
  size_t group = 0;           // inputs that share a scale
  int activation_digits = 0;  // int8 digits of this layer's input: 1 or 2
};

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_TENSOR_VIEW_H_
