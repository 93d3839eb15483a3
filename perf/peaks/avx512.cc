#include "perf/peaks/avx512_body.h"

namespace infeng {
namespace {

int32_t Int8(size_t rounds) {
  const __m512i w = _mm512_set1_epi8(3);
  const __m512i q = _mm512_set1_epi8(5);
  __m512i acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = _mm512_setzero_si512();
  for (size_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kChains; ++i) {
      acc[i] = _mm512_dpbusd_epi32(acc[i], w, q);
      // Integer sums are associative: without this they would be made of one product.
      __asm__ volatile("" : "+v"(acc[i]));
    }
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm512_add_epi32(acc[0], acc[i]);
  return _mm512_cvtsi512_si32(acc[0]);
}

}  // namespace

const PeakTier kPeakAvx512 = {Int8, size_t{kChains} * 64 * 2, F32, size_t{kChains} * 16 * 2, Read};

}  // namespace infeng
