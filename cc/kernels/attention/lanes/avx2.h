#ifndef INFENG_CC_KERNELS_ATTENTION_LANES_AVX2_H_
#define INFENG_CC_KERNELS_ATTENTION_LANES_AVX2_H_

// As scalar.h, which says what each function means, in two AVX2 registers.

#include "cc/kernels/simd/avx2.h"

namespace infeng {
namespace {

constexpr int kQueryTile = 6;
constexpr int kAccumulators = 6;
constexpr bool kHoldPanels = false;

struct I {
  __m256i lo, hi;
};

struct Pairs {
  __m256i lo, hi;
};

inline I ZeroI() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }

inline __m128i Load16Bytes(const char* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

inline Pairs LoadPairs8(const char* p) {
  return {_mm256_cvtepi8_epi16(Load16Bytes(p)), _mm256_cvtepi8_epi16(Load16Bytes(p + 16))};
}

template <bool High>
inline Pairs LoadPairs4(const char* p) {
  __m128i a = Load16Bytes(p);
  __m128i b = Load16Bytes(p + 16);
  if (High) {
    a = _mm_srli_epi16(a, 4);
    b = _mm_srli_epi16(b, 4);
  }
  const __m128i mask = _mm_set1_epi8(15);
  return {_mm256_cvtepu8_epi16(_mm_and_si128(a, mask)),
          _mm256_cvtepu8_epi16(_mm_and_si128(b, mask))};
}

inline Pairs BroadcastPair(const char* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, 4);
  const __m256i all = _mm256_set1_epi32(pair);
  return {all, all};
}

inline I DotPairs(I acc, Pairs a, Pairs b) {
  return {_mm256_add_epi32(acc.lo, _mm256_madd_epi16(a.lo, b.lo)),
          _mm256_add_epi32(acc.hi, _mm256_madd_epi16(a.hi, b.hi))};
}

inline V ToFloat(I a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }

inline void StoreI16(char* p, V a) {
  const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(words, 0xd8));
}

inline V LoadI16(const char* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(Load16Bytes(p))),
          _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(Load16Bytes(p + 16)))};
}

inline __m256 Keep8(__m256 a, __m256 other, __m256i index, int begin, int end) {
  const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(begin), index);
  const __m256i in = _mm256_andnot_si256(below, _mm256_cmpgt_epi32(_mm256_set1_epi32(end), index));
  return _mm256_blendv_ps(other, a, _mm256_castsi256_ps(in));
}

inline V KeepRange(V a, V other, int begin, int end) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {Keep8(a.lo, other.lo, index, begin, end),
          Keep8(a.hi, other.hi, index, begin - 8, end - 8)};
}

inline __m256 ScalePow2Above8(__m256 p, __m256 t, __m256 x, __m256 limit) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
  const __m256i scaled = _mm256_add_epi32(_mm256_castps_si256(p), exponent);
  return _mm256_andnot_ps(_mm256_cmp_ps(x, limit, _CMP_LT_OQ), _mm256_castsi256_ps(scaled));
}

inline V ScalePow2Above(V p, V t, V x, float limit) {
  const __m256 bound = _mm256_set1_ps(limit);
  return {ScalePow2Above8(p.lo, t.lo, x.lo, bound), ScalePow2Above8(p.hi, t.hi, x.hi, bound)};
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_LANES_AVX2_H_
