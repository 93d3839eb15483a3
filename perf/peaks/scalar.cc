// What code without ISA flags can reach: SSE2, which every x86-64 CPU has.

#include <emmintrin.h>

#include "perf/peaks/tier.h"

namespace infeng {
namespace {

constexpr int kChains = 8;

// Keeps the compiler from taking the products out of the loop.
inline void Opaque(__m128i* v) { __asm__ volatile("" : "+x"(*v)); }

int32_t Int8(size_t rounds) {
  // SSE2 multiplies no bytes: they are widened to int16 before.
  __m128i w = _mm_set1_epi16(3);
  const __m128i q = _mm_set1_epi16(5);
  __m128i acc[kChains] = {};
  for (size_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kChains; ++i) {
      Opaque(&w);
      acc[i] = _mm_add_epi32(acc[i], _mm_madd_epi16(w, q));
    }
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm_add_epi32(acc[0], acc[i]);
  return _mm_cvtsi128_si32(acc[0]);
}

float F32(size_t rounds) {
  const __m128 a = _mm_set1_ps(1e-9f);
  __m128 b = _mm_set1_ps(1.0f);
  __m128 acc[kChains] = {};
  for (size_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kChains; ++i) {
      __asm__ volatile("" : "+x"(b));
      acc[i] = _mm_add_ps(acc[i], _mm_mul_ps(a, b));
    }
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm_add_ps(acc[0], acc[i]);
  return _mm_cvtss_f32(acc[0]);
}

uint64_t Read(const void* data, size_t bytes) {
  const __m128i* p = static_cast<const __m128i*>(data);
  __m128i acc[4] = {};
  for (size_t i = 0; i < bytes / 16; i += 4) {
    for (int j = 0; j < 4; ++j) acc[j] = _mm_or_si128(acc[j], _mm_load_si128(p + i + j));
  }
  for (int j = 1; j < 4; ++j) acc[0] = _mm_or_si128(acc[0], acc[j]);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(acc[0]));
}

}  // namespace

const PeakTier kPeakScalar = {Int8, size_t{kChains} * 8 * 2, F32, size_t{kChains} * 4 * 2, Read};

}  // namespace infeng
