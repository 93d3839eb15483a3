#include <immintrin.h>

#include "perf/peaks/tier.h"

namespace infeng {
namespace {

constexpr int kChains = 10;  // more than latency times multipliers: 4 x 2

// Keeps the compiler from taking the products out of the loop.
inline void Opaque(__m256i* v) { __asm__ volatile("" : "+x"(*v)); }

int32_t Int8(size_t rounds) {
  __m256i w = _mm256_set1_epi8(3);
  const __m256i q = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i acc[kChains] = {};
  for (size_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kChains; ++i) {
      Opaque(&w);
      const __m256i pairs = _mm256_maddubs_epi16(w, q);
      acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(pairs, ones));
    }
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm256_add_epi32(acc[0], acc[i]);
  return _mm256_extract_epi32(acc[0], 0);
}

float F32(size_t rounds) {
  const __m256 a = _mm256_set1_ps(1e-9f);
  const __m256 b = _mm256_set1_ps(1.0f);
  __m256 acc[kChains] = {};
  for (size_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kChains; ++i) acc[i] = _mm256_fmadd_ps(a, b, acc[i]);
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm256_add_ps(acc[0], acc[i]);
  return _mm256_cvtss_f32(acc[0]);
}

uint64_t Read(const void* data, size_t bytes) {
  const __m256i* p = static_cast<const __m256i*>(data);
  __m256i acc[8] = {};
  for (size_t i = 0; i < bytes / 32; i += 8) {
    for (int j = 0; j < 8; ++j) acc[j] = _mm256_or_si256(acc[j], _mm256_load_si256(p + i + j));
  }
  for (int j = 1; j < 8; ++j) acc[0] = _mm256_or_si256(acc[0], acc[j]);
  return static_cast<uint64_t>(_mm256_extract_epi64(acc[0], 0));
}

}  // namespace

const PeakTier kPeakAvx2 = {Int8, size_t{kChains} * 32 * 2, F32, size_t{kChains} * 8 * 2, Read};

}  // namespace infeng
