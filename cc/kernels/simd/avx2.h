#ifndef INFENG_CC_KERNELS_SIMD_AVX2_H_
#define INFENG_CC_KERNELS_SIMD_AVX2_H_

// The 16 virtual lanes in two AVX2 registers; scalar.h says what each function means.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace infeng {
namespace {

constexpr int kF32TileRows = 2;
constexpr int kF32TileOutputs = 2;
constexpr int kHeadsTile = 1;
constexpr int kLoraRows = 2;  // by 16 of rank

struct V {
  __m256 lo, hi;
};

inline V Set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }

inline V SetPair(const float* p) {
  double pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  const __m256 both = _mm256_castpd_ps(_mm256_set1_pd(pair));
  return {both, both};
}

inline V Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }

inline __m256i Mask8(size_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), index);
}

inline V LoadN(const float* p, size_t n) {
  if (n <= 8) return {_mm256_maskload_ps(p, Mask8(n)), _mm256_setzero_ps()};
  return {_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, Mask8(n - 8))};
}

inline void Store(float* p, V a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}

inline void StoreN(float* p, V a, size_t n) {
  if (n <= 8) {
    _mm256_maskstore_ps(p, Mask8(n), a.lo);
  } else {
    _mm256_storeu_ps(p, a.lo);
    _mm256_maskstore_ps(p + 8, Mask8(n - 8), a.hi);
  }
}

inline V Add(V a, V b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
inline V Sub(V a, V b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
inline V Mul(V a, V b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
inline V Div(V a, V b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
inline V Max(V a, V b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
inline V Min(V a, V b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }

inline V Fma(V a, V b, V c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

inline V Negate(V a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
}

inline V Abs(V a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}

inline __m256 MaxBits8(__m256 a, __m256 b) {
  return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}

inline V MaxBits(V a, V b) { return {MaxBits8(a.lo, b.lo), MaxBits8(a.hi, b.hi)}; }

inline float ReduceMaxBits(V a) {
  const __m256i m = _mm256_castps_si256(MaxBits8(a.lo, a.hi));
  __m128i r = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
  r = _mm_max_epi32(r, _mm_shuffle_epi32(r, 0x4e));
  r = _mm_max_epi32(r, _mm_shuffle_epi32(r, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(r));
}

inline float ReduceMax(V a) {
  const __m256 m = _mm256_max_ps(a.lo, a.hi);
  __m128 r = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
  r = _mm_max_ps(r, _mm_movehl_ps(r, r));
  r = _mm_max_ss(r, _mm_shuffle_ps(r, r, 1));
  return _mm_cvtss_f32(r);
}

inline float Sum(V a) {
  const __m256 s8 = _mm256_add_ps(a.lo, a.hi);
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
}

// Eight trees at once; each addition pairs the same lanes as Sum.
inline __m256 Sum8(const V* a) {
  __m256 pair[4];
  for (int i = 0; i < 4; ++i) {
    const __m256 x = _mm256_add_ps(a[i].lo, a[i].hi);
    const __m256 y = _mm256_add_ps(a[i + 4].lo, a[i + 4].hi);
    pair[i] = _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
  }
  const __m256 u = _mm256_add_ps(_mm256_shuffle_ps(pair[0], pair[1], 0x44),
                                 _mm256_shuffle_ps(pair[0], pair[1], 0xee));
  const __m256 v = _mm256_add_ps(_mm256_shuffle_ps(pair[2], pair[3], 0x44),
                                 _mm256_shuffle_ps(pair[2], pair[3], 0xee));
  return _mm256_add_ps(_mm256_shuffle_ps(u, v, 0x88), _mm256_shuffle_ps(u, v, 0xdd));
}

inline V Sum16(const V* a) { return {Sum8(a), Sum8(a + 8)}; }

inline __m256 MulPow2x8(__m256 p, __m256 t) {
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(0x4b400000));
  const __m256i half = _mm256_srai_epi32(n, 1);
  const __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}

inline V MaxBits16(const V* a) {
  float greatest[16];
  for (int i = 0; i < 16; ++i) greatest[i] = ReduceMaxBits(a[i]);
  return Load(greatest);
}

inline V MulPow2(V p, V t) { return {MulPow2x8(p.lo, t.lo), MulPow2x8(p.hi, t.hi)}; }

inline V Round(V a) {
  const V magic = Set1(12582912.0f);
  return Sub(Add(a, magic), magic);
}

inline void StoreI8(int8_t* p, V a) {
  const __m256i lo = _mm256_cvtps_epi32(a.lo);
  const __m256i hi = _mm256_cvtps_epi32(a.hi);
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(lo, hi), 0xd8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}

inline V LoadI8(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}

inline V LoadF16(const uint16_t* p) {
  const __m128i* halves = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}

inline void StoreF16(uint16_t* p, V a) {
  __m128i* halves = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(halves, _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(halves + 1, _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_SIMD_AVX2_H_
