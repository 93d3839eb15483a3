#include "cc/format/testing/whole_use.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace infeng {
namespace {

std::string FaultOfMessage(const std::string& message, const std::string& path) {
  if (!message.starts_with(path + ": ")) return "does not name the file: " + message;
  if (message.size() >= path.size() + 500) return "too long: " + message;
  const bool printable =
      std::all_of(message.begin(), message.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return printable ? "" : "not one line of ASCII: " + message;
}

// What was read, so that no compiler leaves the reading out.
volatile uint64_t g_sum;

std::string FaultOfTensor(const TensorView& w) {
  uint64_t sum = 0;
  const size_t count = w.np * w.kp;
  if (w.dtype == DType::kF32) {
    for (size_t i = 0; i < count; ++i) {
      if (!std::isfinite(w.f32[i])) return "a weight is not finite";
    }
    return "";
  }
  if (w.dtype == DType::kU4) {
    for (size_t i = 0; i < count / 2; ++i) sum += w.u4[i];
    for (size_t i = 0; i < count / w.group * 2; ++i) {
      if ((w.scale[i] & 0x7c00) == 0x7c00) return "a scale is not finite";
    }
    g_sum = sum;
    return "";
  }
  for (size_t i = 0; i < count; ++i) {
    if (w.i8[i] == -128) return "a weight is -128";
    sum += w.scale[i / w.group];
  }
  g_sum = sum;
  return "";
}

}  // namespace

std::string FaultOf(const StatusOr<std::unique_ptr<ModelFile>>& opened, const std::string& path) {
  if (!opened.ok()) return FaultOfMessage(opened.status().message(), path);
  const ModelFile& file = **opened;
  uint64_t sum = 0;
  for (const char c : *file.section("tokenizer.json")) sum += static_cast<unsigned char>(c);
  g_sum = sum;
  for (const auto& [name, w] : file.tensors()) {
    const std::string fault = FaultOfTensor(w);
    if (!fault.empty()) return std::string(name).append(": ").append(fault);
  }
  return "";
}

}  // namespace infeng
