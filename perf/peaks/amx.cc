#include "perf/peaks/avx512_body.h"

namespace infeng {
namespace {

constexpr size_t kTileOps = size_t{16} * 16 * 64 * 2;

// Four sums of tiles, so that none waits for the one before it.
int32_t Int8(size_t rounds) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } config = {};
  config.palette = 1;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = 16;
  }
  alignas(64) int32_t sums[16 * 16];
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  // A tile is sixteen times the work of a vector, or as good as.
  for (size_t r = 0; r < rounds; r += 16) {
    _tile_dpbssd(0, 4, 5);
    _tile_dpbssd(1, 4, 5);
    _tile_dpbssd(2, 4, 5);
    _tile_dpbssd(3, 4, 5);
  }
  _tile_stored(0, sums, 64);
  _tile_release();
  return sums[0];
}

}  // namespace

const PeakTier kPeakAmx = {Int8, 4 * kTileOps / 16, F32, size_t{kChains} * 16 * 2, Read};

}  // namespace infeng
