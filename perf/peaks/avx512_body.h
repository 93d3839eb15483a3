#ifndef INFENG_PERF_PEAKS_AVX512_BODY_H_
#define INFENG_PERF_PEAKS_AVX512_BODY_H_

// What avx512.cc and amx.cc share.

#include <immintrin.h>

#include "perf/peaks/tier.h"

namespace infeng {
namespace {

constexpr int kChains = 12;  // more than latency times multipliers: 5 x 2

float F32(size_t rounds) {
  const __m512 a = _mm512_set1_ps(1e-9f);
  const __m512 b = _mm512_set1_ps(1.0f);
  __m512 acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = _mm512_setzero_ps();
  for (size_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kChains; ++i) acc[i] = _mm512_fmadd_ps(a, b, acc[i]);
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm512_add_ps(acc[0], acc[i]);
  return _mm512_cvtss_f32(acc[0]);
}

uint64_t Read(const void* data, size_t bytes) {
  const char* p = static_cast<const char*>(data);
  __m512i acc[4];
  for (int j = 0; j < 4; ++j) acc[j] = _mm512_setzero_si512();
  for (size_t at = 0; at < bytes; at += 256) {
    for (int j = 0; j < 4; ++j)
      acc[j] = _mm512_or_si512(acc[j], _mm512_load_si512(p + at + j * 64));
  }
  for (int j = 1; j < 4; ++j) acc[0] = _mm512_or_si512(acc[0], acc[j]);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(acc[0])));
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_PERF_PEAKS_AVX512_BODY_H_
