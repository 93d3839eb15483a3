#ifndef INFENG_CC_KERNELS_ATTENTION_CACHE_FIXTURE_H_
#define INFENG_CC_KERNELS_ATTENTION_CACHE_FIXTURE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cc/cpu/cpu.h"
#include "cc/kernels/attention/attention.h"

namespace infeng {

// Element d of a position's key or value.
using Fill = std::function<float(size_t position, size_t d, bool value)>;

// Normally distributed, a pure function of the element.
Fill Normal(float scale, uint32_t seed);

struct Options {
  size_t window = 0;
  float soft_cap = 0.0f;
  size_t tile_tokens = 64;
  size_t rows_at_once = 0;  // 0: as many as a call takes
};

// One key-value head's cache in pages, with queries for its last `rows` positions. What was never
// written has all bits set: NaN in every format.
struct Input {
  Input(KvDtype dtype, size_t heads, size_t dim, size_t positions, size_t rows, const Fill& fill,
        Tier store = Tier::kScalar);

  void Write(Tier tier, size_t begin, size_t end, const Fill& fill);

  // [rows][heads][dim], by the kernels of a tier.
  std::vector<float> Run(Tier tier) const;
  // The same from partial results, `chunks` chunks a call.
  std::vector<float> RunInParts(Tier tier, size_t chunks) const;
  // The same in double, from what the cache holds.
  std::vector<double> Reference() const;

  // What the cache holds, read as tier.h describes it.
  double Stored(size_t position, size_t d, bool value) const;  // rotated back
  double Scale(size_t position, bool value) const;
  uint16_t HalfBits(size_t position, size_t d, bool value) const;
  size_t Outliers(size_t page, bool value) const;
  // All of it, as written by a tier, widened to floats of one byte each.
  std::vector<float> StoredBytes(Tier tier) const;

  bool integer() const { return block.dtype == KvDtype::kInt8 || block.dtype == KvDtype::kInt4; }
  std::string name() const;

  KvBlock block;
  size_t heads, dim, positions, rows;
  Fill fill;
  Options options;
  std::vector<float> q;  // [rows][heads][padded_dim]

 private:
  static constexpr size_t kOffset = 128;  // of the block in a page

  template <class Call>
  std::vector<float> ForTiles(Tier tier, Call call) const;
  double Code(size_t position, size_t d, bool value) const;
  const char* Half(size_t position, bool value) const;
  size_t ElementIndex(size_t position, size_t d, bool value) const;

  std::vector<std::vector<uint64_t>> storage_;
  std::vector<const void*> pages_;
};

}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_CACHE_FIXTURE_H_
