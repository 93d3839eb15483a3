#ifndef INFENG_CC_KERNELS_SIMD_AVX512_H_
#define INFENG_CC_KERNELS_SIMD_AVX512_H_

// The 16 virtual lanes in one AVX-512 register; scalar.h says what each function means.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace infeng {
namespace {

constexpr int kF32TileRows = 4;
constexpr int kF32TileOutputs = 4;
constexpr int kHeadsTile = 4;
constexpr int kLoraRows = 8;  // by 16 of rank

struct V {
  __m512 v;
};

inline __mmask16 Mask16(size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }

inline V Set1(float x) { return {_mm512_set1_ps(x)}; }
inline V SetPair(const float* p) {
  double pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  return {_mm512_castpd_ps(_mm512_set1_pd(pair))};
}
inline V Load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline V LoadN(const float* p, size_t n) { return {_mm512_maskz_loadu_ps(Mask16(n), p)}; }
inline void Store(float* p, V a) { _mm512_storeu_ps(p, a.v); }
inline void StoreN(float* p, V a, size_t n) { _mm512_mask_storeu_ps(p, Mask16(n), a.v); }
inline V Add(V a, V b) { return {_mm512_add_ps(a.v, b.v)}; }
inline V Sub(V a, V b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline V Mul(V a, V b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline V Div(V a, V b) { return {_mm512_div_ps(a.v, b.v)}; }
inline V Max(V a, V b) { return {_mm512_max_ps(a.v, b.v)}; }
inline V Min(V a, V b) { return {_mm512_min_ps(a.v, b.v)}; }
inline V Fma(V a, V b, V c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline V Negate(V a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }
inline V Abs(V a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)}; }

inline V MaxBits(V a, V b) {
  return {
      _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a.v), _mm512_castps_si512(b.v)))};
}

inline float ReduceMaxBits(V a) {
  const int bits = _mm512_reduce_max_epi32(_mm512_castps_si512(a.v));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
}

inline float ReduceMax(V a) { return _mm512_reduce_max_ps(a.v); }

inline float Sum(V a) {
  const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
}

// Sixteen trees at once; each step joins the same lanes as Sum.
template <class Join>
inline V Join16(const V* a, Join join) {
  __m512 pair[8];
  for (int i = 0; i < 8; ++i) {
    const int first = i < 4 ? i : i + 4;
    const __m512 x = a[first].v;
    const __m512 y = a[first + 4].v;
    pair[i] = join(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xee));
  }
  __m512 quad[4];
  for (int i = 0; i < 4; ++i) {
    quad[i] = join(_mm512_shuffle_f32x4(pair[i], pair[i + 4], 0x88),
                   _mm512_shuffle_f32x4(pair[i], pair[i + 4], 0xdd));
  }
  const __m512 u =
      join(_mm512_shuffle_ps(quad[0], quad[1], 0x44), _mm512_shuffle_ps(quad[0], quad[1], 0xee));
  const __m512 v =
      join(_mm512_shuffle_ps(quad[2], quad[3], 0x44), _mm512_shuffle_ps(quad[2], quad[3], 0xee));
  return {join(_mm512_shuffle_ps(u, v, 0x88), _mm512_shuffle_ps(u, v, 0xdd))};
}

inline V Sum16(const V* a) {
  return Join16(a, [](__m512 x, __m512 y) { return _mm512_add_ps(x, y); });
}

inline V MaxBits16(const V* a) {
  return Join16(a, [](__m512 x, __m512 y) { return MaxBits({x}, {y}).v; });
}

inline V MulPow2(V p, V t) {
  const __m512i bias = _mm512_set1_epi32(127);
  const __m512i n = _mm512_sub_epi32(_mm512_castps_si512(t.v), _mm512_set1_epi32(0x4b400000));
  const __m512i half = _mm512_srai_epi32(n, 1);
  const __m512i a = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
  const __m512i b = _mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(n, half), bias), 23);
  return {_mm512_mul_ps(_mm512_mul_ps(p.v, _mm512_castsi512_ps(a)), _mm512_castsi512_ps(b))};
}

inline V Round(V a) {
  const V magic = Set1(12582912.0f);
  return Sub(Add(a, magic), magic);
}

inline void StoreI8(int8_t* p, V a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a.v)));
}

inline V LoadI8(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}

inline V LoadF16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

inline void StoreF16(uint16_t* p, V a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_SIMD_AVX512_H_
