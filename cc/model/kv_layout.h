#ifndef INFENG_CC_MODEL_KV_LAYOUT_H_
#define INFENG_CC_MODEL_KV_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "cc/format/model_file.h"
#include "cc/kernels/attention/attention.h"

namespace infeng {

// Where keys and values lie in a page, which holds kPagePositions positions of all layers:
// [layer][key, value][kv head][position][padded_dim], elements of binary16 or f32.
struct KvLayout {
  size_t layers, kv_heads, padded_dim;
  bool f16;

  KvLayout(const ModelConfig& config, bool f16)
      : layers(static_cast<size_t>(config.num_hidden_layers)),
        kv_heads(static_cast<size_t>(config.num_key_value_heads)),
        padded_dim((static_cast<size_t>(config.head_dim) + 15) / 16 * 16),
        f16(f16) {}

  size_t element_bytes() const { return f16 ? 2 : 4; }
  size_t page_bytes() const {
    return layers * 2 * kv_heads * kPagePositions * padded_dim * element_bytes();
  }
  // In elements from the start of the page.
  size_t key_offset(size_t layer, size_t kv_head) const {
    return (layer * 2 * kv_heads + kv_head) * kPagePositions * padded_dim;
  }
  size_t value_offset(size_t layer, size_t kv_head) const {
    return ((layer * 2 + 1) * kv_heads + kv_head) * kPagePositions * padded_dim;
  }
};

}  // namespace infeng

#endif  // INFENG_CC_MODEL_KV_LAYOUT_H_
