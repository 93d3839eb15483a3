#ifndef INFENG_CC_MODEL_KV_LAYOUT_H_
#define INFENG_CC_MODEL_KV_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "cc/format/model_file.h"
#include "cc/kernels/attention/attention.h"

namespace infeng {

// Where keys and values lie in a page, which holds kPagePositions positions of all layers:
// [layer][kv head] blocks.
struct KvLayout {
  size_t layers, kv_heads;
  KvBlock block;

  KvLayout(const ModelConfig& config, KvDtype dtype)
      : layers(static_cast<size_t>(config.num_hidden_layers)),
        kv_heads(static_cast<size_t>(config.num_key_value_heads)),
        block(MakeKvBlock(dtype, static_cast<size_t>(config.head_dim))) {}

  size_t page_bytes() const { return layers * kv_heads * block.bytes; }
  // In bytes from the start of the page.
  size_t block_offset(size_t layer, size_t kv_head) const {
    return (layer * kv_heads + kv_head) * block.bytes;
  }
};

}  // namespace infeng

#endif  // INFENG_CC_MODEL_KV_LAYOUT_H_
