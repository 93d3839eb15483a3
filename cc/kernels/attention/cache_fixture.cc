#include "cc/kernels/attention/cache_fixture.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>

namespace infeng {
namespace {

double HalfValue(uint16_t half) {
  const int exponent = half >> 10 & 0x1f;
  const double mantissa = half & 0x3ff;
  const double magnitude = exponent == 0    ? std::ldexp(mantissa, -24)
                           : exponent == 31 ? NAN
                                            : std::ldexp(mantissa + 1024, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

}  // namespace

Fill Normal(float scale, uint32_t seed) {
  return [=](size_t position, size_t d, bool value) {
    std::minstd_rand random(
        static_cast<uint32_t>(seed * 7919 + position * 1031 + d * 2 + (value ? 1 : 0) + 1));
    random.discard(3);
    return std::normal_distribution<float>(0, scale)(random);
  };
}

Input::Input(KvDtype dtype, size_t heads, size_t dim, size_t positions, size_t rows,
             const Fill& fill, Tier store)
    : block(MakeKvBlock(dtype, dim)),
      heads(heads),
      dim(dim),
      positions(positions),
      rows(rows),
      fill(fill),
      q(rows * heads * block.padded_dim) {
  const Fill normal = Normal(1.0f, 77);
  for (size_t i = 0; i < rows * heads; ++i) {
    for (size_t d = 0; d < dim; ++d) q[i * block.padded_dim + d] = normal(i, d, false);
  }
  const size_t count = (positions + kPagePositions - 1) / kPagePositions;
  storage_.assign(count, std::vector<uint64_t>((kOffset + block.bytes) / 8, ~uint64_t{0}));
  for (const auto& page : storage_) pages_.push_back(page.data());
  Write(store, 0, positions, fill);
}

void Input::Write(Tier tier, size_t begin, size_t end, const Fill& with) {
  std::vector<float> k(dim);
  std::vector<float> v(dim);
  for (size_t j = begin; j < end; ++j) {
    for (size_t d = 0; d < dim; ++d) {
      k[d] = with(j, d, false);
      v[d] = with(j, d, true);
    }
    char* page = reinterpret_cast<char*>(storage_[j / kPagePositions].data());
    AttentionKernels(tier).store_kv(
        {k.data(), v.data(), block, page + kOffset, j % kPagePositions});
  }
}

template <class Call>
std::vector<float> Input::ForTiles(Tier tier, Call call) const {
  std::vector<float> out(rows * heads * dim, 7.0f);
  const size_t most = kMaxQueries / heads;
  const size_t step = options.rows_at_once == 0 ? most : std::min(most, options.rows_at_once);
  std::vector<int16_t> q16(q.size());
  std::vector<float> q_scale(rows * heads);
  for (size_t i = 0; i < q_scale.size(); ++i) {
    const size_t at = i * block.padded_dim;
    AttentionKernels(tier).quantize_query({&q[at], block.padded_dim, &q16[at], &q_scale[i]});
  }
  for (size_t row = 0; row < rows; row += step) {
    const size_t at = row * heads * block.padded_dim;
    AttendArgs args = {};
    args.q = integer() ? static_cast<const void*>(&q16[at]) : &q[at];
    args.q_scale = &q_scale[row * heads];
    args.rows = std::min(step, rows - row);
    args.heads = heads;
    args.position = positions - rows + row;
    args.block = block;
    args.pages = pages_.data();
    args.block_offset = kOffset;
    args.scale = 1.0f / std::sqrt(static_cast<float>(dim));
    args.soft_cap = options.soft_cap;
    args.window = options.window;
    args.tile_tokens = options.tile_tokens;
    args.out = &out[row * heads * dim];
    args.out_stride = heads * dim;
    call(args);
  }
  return out;
}

std::vector<float> Input::Run(Tier tier) const {
  return ForTiles(tier, AttentionKernels(tier).attend);
}

std::vector<float> Input::RunInParts(Tier tier, size_t chunks) const {
  return ForTiles(tier, [&](const AttendArgs& args) {
    const size_t begin = args.position + 1;
    const size_t first =
        (args.window != 0 && begin > args.window ? begin - args.window : 0) / kChunkPositions;
    const size_t last = (args.position + args.rows + kChunkPositions - 1) / kChunkPositions;
    const size_t stride = args.rows * heads * (block.padded_dim + 16);
    std::vector<float> partials(stride * (last - first), NAN);
    // From the end, to show that the order of taking them does not matter.
    for (size_t c = last; c > first;) {
      const size_t from = c - std::min(chunks, c - first);
      AttentionKernels(tier).attend_chunks({&args, from, c, partials.data(), stride});
      c = from;
    }
    AttentionKernels(tier).merge({&args, first, last, partials.data(), stride});
  });
}

std::vector<double> Input::Reference() const {
  std::vector<double> k(positions * dim);
  std::vector<double> v(positions * dim);
  for (size_t j = 0; j < positions; ++j) {
    for (size_t d = 0; d < dim; ++d) {
      k[j * dim + d] = Stored(j, d, false);
      v[j * dim + d] = Stored(j, d, true);
    }
  }
  std::vector<double> out(rows * heads * dim);
  for (size_t i = 0; i < rows * heads; ++i) {
    const size_t end = positions - rows + i / heads + 1;
    const size_t begin = options.window != 0 && end > options.window ? end - options.window : 0;
    std::vector<double> score(end);
    double max = -INFINITY;
    for (size_t j = begin; j < end; ++j) {
      for (size_t d = 0; d < dim; ++d) {
        score[j] += double{q[i * block.padded_dim + d]} * k[j * dim + d];
      }
      score[j] /= std::sqrt(static_cast<double>(dim));
      if (options.soft_cap != 0.0f) {
        score[j] = options.soft_cap * std::tanh(score[j] / options.soft_cap);
      }
      max = std::max(max, score[j]);
    }
    double total = 0;
    for (size_t j = begin; j < end; ++j) {
      const double p = std::exp(score[j] - max);
      total += p;
      for (size_t d = 0; d < dim; ++d) out[i * dim + d] += p * v[j * dim + d];
    }
    for (size_t d = 0; d < dim; ++d) out[i * dim + d] /= total;
  }
  return out;
}

const char* Input::Half(size_t position, bool value) const {
  return static_cast<const char*>(pages_[position / kPagePositions]) + kOffset +
         (value ? block.values : block.keys);
}

// Index of an element among those of its panels, counted as [panel][step][lane].
size_t Input::ElementIndex(size_t position, size_t d, bool value) const {
  const size_t slot = position % kPagePositions;
  const size_t steps = value ? kPagePositions : block.padded_dim;
  const size_t panel = value ? d / 16 : slot / 16;
  const size_t step = value ? slot : d;
  const size_t lane = value ? d % 16 : slot % 16;
  return (panel * steps + step) * 16 + lane;
}

double Input::Scale(size_t position, bool value) const {
  const char* scales = static_cast<const char*>(pages_[position / kPagePositions]) + kOffset +
                       (value ? block.value_scales : block.key_scales);
  uint16_t half;
  std::memcpy(&half, scales + position % kPagePositions * 2, 2);
  return HalfValue(half);
}

uint16_t Input::HalfBits(size_t position, size_t d, bool value) const {
  uint16_t half;
  std::memcpy(&half, Half(position, value) + ElementIndex(position, d, value) * 2, 2);
  return half;
}

size_t Input::Outliers(size_t page, bool value) const {
  const auto* list =
      reinterpret_cast<const KvOutliers*>(static_cast<const char*>(pages_[page]) + kOffset +
                                          (value ? block.value_outliers : block.key_outliers));
  return list->end[kPagePositions - 1];
}

double Input::Stored(size_t position, size_t d, bool value) const {
  if (!integer() || value) return Code(position, d, value);
  size_t n = 1;
  while (block.padded_dim % (2 * n) == 0) n *= 2;
  double x = 0;
  for (size_t e = d / n * n; e < (d / n + 1) * n; ++e) {
    const double code = Code(position, e, value);
    x += std::popcount((d % n) & (e % n)) % 2 == 0 ? code : -code;
  }
  return x / static_cast<double>(n);
}

// What the cache says of one element.
double Input::Code(size_t position, size_t d, bool value) const {
  const size_t index = ElementIndex(position, d, value);
  const char* half = Half(position, value);
  if (block.dtype == KvDtype::kF32) {
    float x;
    std::memcpy(&x, half + index * 4, 4);
    return x;
  }
  if (block.dtype == KvDtype::kF16) return HalfValue(HalfBits(position, d, value));
  const double scale = Scale(position, value);
  const size_t step = index / 16;
  const size_t lane = index % 16;
  double x = 0;
  if (block.dtype == KvDtype::kInt8) {
    x = scale * static_cast<int8_t>(half[step / 2 * 32 + lane * 2 + step % 2]);
  } else {
    const auto byte = static_cast<uint8_t>(half[step / 4 * 32 + lane * 2 + step % 2]);
    const char* mins = static_cast<const char*>(pages_[position / kPagePositions]) + kOffset +
                       (value ? block.value_scales : block.key_scales) + kPagePositions * 2;
    uint16_t min;
    std::memcpy(&min, mins + position % kPagePositions * 2, 2);
    x = scale * (step % 4 < 2 ? byte & 15 : byte >> 4) + HalfValue(min);
  }
  const auto* list = reinterpret_cast<const KvOutliers*>(
      static_cast<const char*>(pages_[position / kPagePositions]) + kOffset +
      (value ? block.value_outliers : block.key_outliers));
  const size_t slot = position % kPagePositions;
  for (size_t e = slot == 0 ? 0 : list->end[slot - 1]; e < list->end[slot]; ++e) {
    if (list->entries[e].dim == d) x += scale * list->entries[e].value;
  }
  return x;
}

std::vector<float> Input::StoredBytes(Tier tier) const {
  Input copy(block.dtype, heads, dim, positions, 1, fill, tier);
  std::vector<float> bytes;
  for (const auto& page : copy.storage_) {
    const auto* begin = reinterpret_cast<const uint8_t*>(page.data());
    bytes.insert(bytes.end(), begin, begin + page.size() * 8);
  }
  return bytes;
}

std::string Input::name() const {
  return std::string(KvDtypeName(block.dtype)) + ", " + std::to_string(heads) + " heads of " +
         std::to_string(dim) + ", " + std::to_string(rows) + " rows of " +
         std::to_string(positions) + ", window " + std::to_string(options.window) + ", cap " +
         std::to_string(options.soft_cap) + ", tile " + std::to_string(options.tile_tokens) + "/" +
         std::to_string(options.rows_at_once);
}

}  // namespace infeng
