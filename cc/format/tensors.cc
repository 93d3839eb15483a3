#include "cc/format/tensors.h"

#include <vector>

#include "cc/format/contents.h"
#include "cc/format/extents.h"
#include "cc/format/model_tensors.h"
#include "cc/format/quote.h"

namespace infeng {
namespace {

constexpr uint64_t kPanelRows = 16;
constexpr uint64_t kInt4Group = 32;

uint64_t RoundUp(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::string ShapeText(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

Status Mismatch(const std::string& what, const std::string& expected, const std::string& found) {
  return DataLoss(what + ", expected " + expected + ", found " + found);
}

Status CheckBytes(const Extent& extent, uint64_t expected) {
  if (extent.bytes == expected) return {};
  return Mismatch(extent.what + ": length in bytes", std::to_string(expected),
                  std::to_string(extent.bytes));
}

StatusOr<TensorView> CheckTensor(const TensorEntry& entry, const std::vector<uint64_t>& shape) {
  const std::string what = "tensor " + Quote(entry.name);
  if (entry.shape != shape) {
    return Mismatch(what + ": shape", ShapeText(shape), ShapeText(entry.shape));
  }
  const bool vector = shape.size() == 1;
  const bool int4 = entry.dtype == "u4";
  const bool quantised = int4 || entry.dtype == "i8";
  if (!(quantised && !vector) && entry.dtype != "f32") {
    return Mismatch(what + ": dtype", vector ? "\"f32\"" : "\"f32\", \"i8\" or \"u4\"",
                    Quote(entry.dtype));
  }
  const char* layout = int4 ? "panel16x8" : quantised ? "panel16x4" : "rows";
  if (entry.layout != layout) {
    return Mismatch(what + ": layout", Quote(layout), Quote(entry.layout));
  }
  // Sizes are at most 2^24 (kMaxSize), so no product overflows.
  TensorView view;
  view.name = entry.name;
  view.n = vector ? 1 : shape[0];
  view.k = shape.back();
  if (quantised) {
    if (int4 && entry.group != kInt4Group) {
      return Mismatch(what + ": group", std::to_string(kInt4Group), std::to_string(entry.group));
    }
    view.dtype = int4 ? DType::kU4 : DType::kI8;
    view.group = entry.group;
    view.activation_digits = entry.activation_digits;
    view.np = RoundUp(view.n, kPanelRows);
    view.kp = RoundUp(view.k, entry.group);
    const uint64_t groups = view.np * (view.kp / entry.group);
    INFENG_RETURN_IF_ERROR(CheckBytes(entry.data, view.np * view.kp / (int4 ? 2 : 1)));
    INFENG_RETURN_IF_ERROR(CheckBytes(entry.scale, groups * sizeof(uint16_t) * (int4 ? 2 : 1)));
  } else {
    view.dtype = DType::kF32;
    view.np = view.n;
    view.kp = RoundUp(view.k, kPanelRows);
    INFENG_RETURN_IF_ERROR(CheckBytes(entry.data, view.np * view.kp * sizeof(float)));
  }
  return view;
}

}  // namespace

StatusOr<TensorViews> CheckTensors(const Header& header) {
  const auto expected = ModelTensors(header.config);
  TensorViews views;
  for (const TensorEntry& entry : header.tensors) {
    const auto shape = expected.find(entry.name);
    if (shape == expected.end()) {
      return DataLoss("tensor " + Quote(entry.name) + ": the architecture has no such tensor");
    }
    INFENG_ASSIGN_OR_RETURN(TensorView view, CheckTensor(entry, shape->second));
    if (!views.emplace(entry.name, std::move(view)).second) {
      return DataLoss("tensor " + Quote(entry.name) + ": is there twice");
    }
  }
  for (const auto& [name, shape] : expected) {
    if (!views.contains(name)) return DataLoss("tensor \"" + name + "\": is missing");
  }
  return views;
}

Status BindTensor(std::string_view file, const TensorEntry& entry, TensorView* view) {
  const std::string_view data = BytesOf(file, entry.data);
  if (view->dtype == DType::kF32) {
    INFENG_RETURN_IF_ERROR(CheckFloats(data, entry.data));
    view->f32 = reinterpret_cast<const float*>(data.data());
    return {};
  }
  const std::string_view scale = BytesOf(file, entry.scale);
  view->scale = reinterpret_cast<const uint16_t*>(scale.data());
  if (view->dtype == DType::kU4) {
    INFENG_RETURN_IF_ERROR(CheckSum(data, entry.data));
    view->u4 = reinterpret_cast<const uint8_t*>(data.data());
    return CheckHalves(scale, entry.scale);
  }
  INFENG_RETURN_IF_ERROR(CheckInt8(data, entry.data));
  view->i8 = reinterpret_cast<const int8_t*>(data.data());
  return CheckScales(scale, entry.scale);
}

}  // namespace infeng
