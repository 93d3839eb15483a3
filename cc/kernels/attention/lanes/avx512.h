#ifndef INFENG_CC_KERNELS_ATTENTION_LANES_AVX512_H_
#define INFENG_CC_KERNELS_ATTENTION_LANES_AVX512_H_

// As scalar.h, which says what each function means, in one AVX-512 register.

#include "cc/kernels/simd/avx512.h"

namespace infeng {
namespace {

constexpr int kQueryTile = 12;
constexpr int kAccumulators = 24;
constexpr bool kHoldPanels = true;

struct I {
  __m512i v;
};

struct Pairs {
  __m512i v;
};

inline I ZeroI() { return {_mm512_setzero_si512()}; }

inline __m256i Load32Bytes(const char* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

inline Pairs LoadPairs8(const char* p) { return {_mm512_cvtepi8_epi16(Load32Bytes(p))}; }

template <bool High>
inline Pairs LoadPairs4(const char* p) {
  __m256i bytes = Load32Bytes(p);
  if (High) bytes = _mm256_srli_epi16(bytes, 4);
  return {_mm512_cvtepu8_epi16(_mm256_and_si256(bytes, _mm256_set1_epi8(15)))};
}

inline Pairs BroadcastPair(const char* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, 4);
  return {_mm512_set1_epi32(pair)};
}

// By name, because compilers make two instructions of the intrinsic, for its latency; here there
// are sums enough to hide it.
inline I DotPairs(I acc, Pairs a, Pairs b) {
  asm("vpdpwssd %2, %1, %0" : "+v"(acc.v) : "v"(a.v), "v"(b.v));
  return acc;
}

inline V ToFloat(I a) { return {_mm512_cvtepi32_ps(a.v)}; }

inline void StoreI16(char* p, V a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(a.v)));
}

inline V LoadI16(const char* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(Load32Bytes(p)))};
}

inline V KeepRange(V a, V other, int begin, int end) {
  const __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __mmask16 above = _mm512_cmpge_epi32_mask(index, _mm512_set1_epi32(begin));
  const __mmask16 in = _mm512_mask_cmplt_epi32_mask(above, index, _mm512_set1_epi32(end));
  return {_mm512_mask_mov_ps(other.v, in, a.v)};
}

inline V ScalePow2Above(V p, V t, V x, float limit) {
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(t.v), 23);
  const __m512i scaled = _mm512_add_epi32(_mm512_castps_si512(p.v), exponent);
  // Not less than, or unordered: NaN stays.
  const __mmask16 keep = _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(limit), _CMP_NLT_UQ);
  return {_mm512_maskz_mov_ps(keep, _mm512_castsi512_ps(scaled))};
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_LANES_AVX512_H_
