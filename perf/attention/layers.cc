#include "perf/attention/layers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace infeng {
namespace {

constexpr size_t kMostLayers = 30;
// Of a prefill step, whose arithmetic takes a hundred times as long as reading its keys and values.
constexpr size_t kMostPrefillLayers = 4;
constexpr size_t kCacheBytes = size_t{128} << 20;

// A sum of four uniform numbers, scaled to a variance of 1: nearly normal, quick, and the same
// everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  float Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = state_ ^ (state_ >> 29);
    x *= 0xbf58476d1ce4e5b9u;
    const uint64_t sum = (x & 0xffff) + (x >> 16 & 0xffff) + (x >> 32 & 0xffff) + (x >> 48);
    return (static_cast<float>(sum) - 131070.0f) * (1.0f / 37837.0f);
  }

 private:
  uint64_t state_;
};

ModelConfig Config(const Shape& shape) {
  ModelConfig config;
  config.num_hidden_layers = static_cast<uint32_t>(shape.layers);
  config.num_key_value_heads = static_cast<uint32_t>(shape.heads_kv);
  config.head_dim = static_cast<uint32_t>(shape.head_dim);
  return config;
}

Shape WithLayers(Shape shape) {
  if (shape.layers == 0) {
    const size_t layer = shape.ctx * shape.heads_kv * shape.head_dim * 4;
    const size_t most = shape.rows > 1 ? kMostPrefillLayers : kMostLayers;
    shape.layers = std::clamp<size_t>(kCacheBytes / layer, 1, most);
  }
  return shape;
}

}  // namespace

Layers::Layers(KvDtype dtype, const Shape& shape, Tier tier, int threads, size_t tile_tokens)
    : shape_(WithLayers(shape)),
      layout_(Config(shape_), dtype),
      tile_tokens_(tile_tokens != 0 ? tile_tokens : DefaultTileTokens(layout_.block)),
      pool_(threads),
      rope_(1e5, shape_.head_dim),
      attention_(layout_, shape_.heads_q, tier, &pool_, {.tile_tokens = tile_tokens_}),
      q_(shape_.rows * shape_.heads_q * shape_.head_dim),
      k_(shape_.rows * shape_.heads_kv * shape_.head_dim),
      v_(k_.size()),
      out_(q_.size()) {
  rope_.Grow(shape_.ctx);
  Random random(1);
  const size_t pages = (shape_.ctx + kPagePositions - 1) / kPagePositions;
  for (size_t page = 0; page < pages; ++page) {
    pages_.emplace_back(layout_.page_bytes());
    page_pointers_.push_back(pages_.back().data());
  }
  std::vector<float> key(shape_.head_dim);
  std::vector<float> value(shape_.head_dim);
  double squares = 0;
  for (size_t j = 0; j < shape_.ctx; ++j) {
    uint8_t* page = pages_[j / kPagePositions].data();
    for (size_t head = 0; head < shape_.heads_kv; ++head) {
      for (float& x : key) x = random.Next();
      for (float& x : value) {
        x = random.Next();
        squares += double{x} * x;
      }
      AttentionKernels(tier).store_kv({key.data(), value.data(), layout_.block,
                                       page + layout_.block_offset(0, head), j % kPagePositions});
    }
  }
  const size_t layer_bytes = layout_.block_offset(1, 0);
  for (AlignedBuffer<uint8_t>& page : pages_) {
    for (size_t layer = 1; layer < shape_.layers; ++layer) {
      std::memcpy(page.data() + layer * layer_bytes, page.data(), layer_bytes);
    }
  }
  value_rms_ =
      std::sqrt(squares / static_cast<double>(shape_.ctx * shape_.heads_kv * shape_.head_dim));
  for (AlignedBuffer<float>* x : {&q_, &k_, &v_}) {
    for (float& e : *x) e = random.Next();
  }
  std::vector<KvRow> rows;
  for (size_t i = 0; i < shape_.rows; ++i) {
    rows.push_back({shape_.ctx - shape_.rows + i, page_pointers_.data()});
  }
  attention_.Plan(rows);
}

void Layers::Step() {
  const size_t q_stride = shape_.heads_q * shape_.head_dim;
  const size_t kv_stride = shape_.heads_kv * shape_.head_dim;
  for (size_t layer = 0; layer < shape_.layers; ++layer) {
    attention_.Store(layer, rope_, q_.data(), q_stride, k_.data(), v_.data(), kv_stride);
    attention_.Attend(layer, out_.data(), q_stride);
  }
}

double Layers::operations() const {
  const double keys =
      static_cast<double>(shape_.rows) *
      (static_cast<double>(shape_.ctx) - (static_cast<double>(shape_.rows) - 1) / 2);
  return 4.0 * keys * static_cast<double>(shape_.heads_q * shape_.head_dim * shape_.layers);
}

double Layers::kv_bytes() const {
  const KvBlock& block = layout_.block;
  const size_t lists = block.max_outliers == 0 ? 0 : block.bytes - block.key_outliers;
  return static_cast<double>(shape_.layers * shape_.heads_kv * (block.bytes - lists)) *
         static_cast<double>(shape_.ctx) / kPagePositions;
}

double Layers::scratch_bytes() const {
  return static_cast<double>(pages_.size() * layout_.page_bytes() + attention_.scratch_bytes());
}

double Layers::csr_outliers() const {
  if (layout_.block.max_outliers == 0) return 0;
  double count = 0;
  for (size_t page = 0; page < pages_.size(); ++page) {
    const size_t last = std::min(shape_.ctx - page * kPagePositions, kPagePositions) - 1;
    for (size_t head = 0; head < shape_.heads_kv; ++head) {
      const uint8_t* block = pages_[page].data() + layout_.block_offset(0, head);
      for (const size_t list : {layout_.block.key_outliers, layout_.block.value_outliers}) {
        count += reinterpret_cast<const KvOutliers*>(block + list)->end[last];
      }
    }
  }
  return count * static_cast<double>(shape_.layers);
}

// Each tile of rows brings the cache through once; keys come again for each further block of
// queries if a tile of them does not stay in half of the first level.
double Layers::l2_bytes_per_token() const {
  const size_t group = shape_.heads_q / shape_.heads_kv;
  const size_t rows = std::min(shape_.rows, std::max<size_t>(kMaxQueries / group, 1));
  constexpr size_t kQueryBlock = 6;
  const size_t blocks = (rows * group + kQueryBlock - 1) / kQueryBlock;
  const bool stays = tile_tokens_ <= DefaultTileTokens(layout_.block);
  const double keys_again = stays ? 0.0 : 0.5 * static_cast<double>(blocks - 1);
  return kv_bytes() * (1.0 + keys_again) / static_cast<double>(rows);
}

Difference AgainstF16(const Layers& layers, const Layers& f16) {
  double difference = 0;
  double size = 0;
  const auto& a = layers.out();
  const auto& b = f16.out();
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - b[i], 2);
    size += std::pow(double{b[i]}, 2);
  }
  const double mean = difference / static_cast<double>(a.size());
  return {std::sqrt(mean) / f16.value_rms(), std::sqrt(difference / size)};
}

}  // namespace infeng
