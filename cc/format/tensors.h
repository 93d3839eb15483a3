#ifndef INFENG_CC_FORMAT_TENSORS_H_
#define INFENG_CC_FORMAT_TENSORS_H_

#include <map>
#include <string>
#include <string_view>

#include "cc/base/status.h"
#include "cc/format/header.h"
#include "cc/format/tensor_view.h"

namespace infeng {

using TensorViews = std::map<std::string, TensorView, std::less<>>;

// Checks that the header has each tensor of the architecture once and no other, with a dtype,
// layout, shape and byte counts that fit together. The views have no data yet: see BindTensor.
// Error: DataLoss, without the file's name.
StatusOr<TensorViews> CheckTensors(const Header& header);

// Points the view at its data, and checks the sums and every weight: f32 finite, i8 not -128,
// scales and minima finite, scales of i8 not negative. The extents lie in the file.
Status BindTensor(std::string_view file, const TensorEntry& entry, TensorView* view);

}  // namespace infeng

#endif  // INFENG_CC_FORMAT_TENSORS_H_
