#ifndef INFENG_CC_KERNELS_ATTENTION_BODY_H_
#define INFENG_CC_KERNELS_ATTENTION_BODY_H_

// Written once over 16 lanes. Include a tier's simd header before this one.

#include "cc/kernels/attention/tier.h"
#include "cc/kernels/simd/exp.h"

namespace infeng {
namespace {

constexpr float kInfinity = __builtin_inff();

// State of up to kHeadsTile heads, first of one chunk, then of all chunks so far.
struct Partial {
  float max[kHeadsTile];
  float sum[kHeadsTile];
  float out[kHeadsTile][kMaxHeadDim];
};

template <bool F16>
inline V LoadKv(const void* page, size_t element) {
  if (F16) return LoadF16(static_cast<const uint16_t*>(page) + element);
  return Load(static_cast<const float*>(page) + element);
}

// Scores of the n positions from `begin` on; -infinity up to the next multiple of 16.
template <int Heads, bool F16>
inline void Scores(const AttendArgs& a, const float* q, size_t begin, size_t n,
                   float (*scores)[kChunkPositions]) {
  for (size_t j = 0; j < n; j += 16) {
    const size_t count = n - j < 16 ? n - j : 16;
    const void* page = a.pages[(begin + j) / kPagePositions];
    const size_t key = a.k_offset + (begin + j) % kPagePositions * a.padded_dim;
    V dots[Heads][16];
    for (size_t i = 0; i < 16; ++i) {
      V acc[Heads];
      for (int h = 0; h < Heads; ++h) acc[h] = Set1(0.0f);
      if (i < count) {
        for (size_t d = 0; d < a.padded_dim; d += 16) {
          const V k = LoadKv<F16>(page, key + i * a.padded_dim + d);
          for (int h = 0; h < Heads; ++h) acc[h] = Fma(Load(q + h * a.padded_dim + d), k, acc[h]);
        }
      }
      for (int h = 0; h < Heads; ++h) dots[h][i] = acc[h];
    }
    for (int h = 0; h < Heads; ++h) {
      Store(scores[h] + j, Mul(Sum16(dots[h]), Set1(a.scale)));
      for (size_t i = count; i < 16; ++i) scores[h][j + i] = -kInfinity;
    }
  }
}

// Turns one head's scores into exp(score - max) and gives their maximum and sum.
inline void Softmax(float* scores, size_t n, float* max, float* sum) {
  V greatest = Load(scores);
  for (size_t j = 16; j < n; j += 16) greatest = Max(greatest, Load(scores + j));
  *max = ReduceMax(greatest);
  V total = Set1(0.0f);
  for (size_t j = 0; j < n; j += 16) {
    const V p = Exp(Sub(Load(scores + j), Set1(*max)));
    Store(scores + j, p);
    total = Add(total, p);
  }
  *sum = Sum(total);
}

// out[h][d] for Blocks * 16 dimensions from d on.
template <int Heads, int Blocks, bool F16>
inline void WeightedValues(const AttendArgs& a, size_t begin, size_t n, size_t d,
                           const float (*weights)[kChunkPositions], Partial* chunk) {
  V acc[Heads][Blocks];
  for (int h = 0; h < Heads; ++h) {
    for (int b = 0; b < Blocks; ++b) acc[h][b] = Set1(0.0f);
  }
  for (size_t j = 0; j < n; ++j) {
    const void* page = a.pages[(begin + j) / kPagePositions];
    const size_t value = a.v_offset + (begin + j) % kPagePositions * a.padded_dim + d;
    V v[Blocks];
    for (int b = 0; b < Blocks; ++b) v[b] = LoadKv<F16>(page, value + b * 16);
    for (int h = 0; h < Heads; ++h) {
      const V weight = Set1(weights[h][j]);
      for (int b = 0; b < Blocks; ++b) acc[h][b] = Fma(weight, v[b], acc[h][b]);
    }
  }
  for (int h = 0; h < Heads; ++h) {
    for (int b = 0; b < Blocks; ++b) Store(chunk->out[h] + d + b * 16, acc[h][b]);
  }
}

template <int Heads, bool F16>
inline void Chunk(const AttendArgs& a, const float* q, size_t begin, size_t n, Partial* chunk) {
  float weights[Heads][kChunkPositions];
  Scores<Heads, F16>(a, q, begin, n, weights);
  for (int h = 0; h < Heads; ++h) Softmax(weights[h], n, &chunk->max[h], &chunk->sum[h]);
  size_t d = 0;
  for (; d + 64 <= a.padded_dim; d += 64) {
    WeightedValues<Heads, 4, F16>(a, begin, n, d, weights, chunk);
  }
  for (; d < a.padded_dim; d += 16) WeightedValues<Heads, 1, F16>(a, begin, n, d, weights, chunk);
}

// exp of one number, by the same operations as the 16 lanes.
inline float Exp1(float x) {
  float lanes[16];
  Store(lanes, Exp(Set1(x)));
  return lanes[0];
}

template <int Heads>
inline void Merge(const AttendArgs& a, const Partial& chunk, Partial* all) {
  for (int h = 0; h < Heads; ++h) {
    const float max = all->max[h] > chunk.max[h] ? all->max[h] : chunk.max[h];
    const V old_factor = Set1(Exp1(all->max[h] - max));
    const V new_factor = Set1(Exp1(chunk.max[h] - max));
    float sum[16];
    Store(sum, Fma(Set1(all->sum[h]), old_factor, Mul(Set1(chunk.sum[h]), new_factor)));
    all->max[h] = max;
    all->sum[h] = sum[0];
    for (size_t d = 0; d < a.padded_dim; d += 16) {
      const V added = Mul(Load(chunk.out[h] + d), new_factor);
      Store(all->out[h] + d, Fma(Load(all->out[h] + d), old_factor, added));
    }
  }
}

template <int Heads, bool F16>
void AttendHeads(const AttendArgs& a, size_t head) {
  const float* q = a.q + head * a.padded_dim;
  Partial all;
  for (size_t begin = 0; begin < a.positions; begin += kChunkPositions) {
    const size_t left = a.positions - begin;
    const size_t n = left < kChunkPositions ? left : kChunkPositions;
    if (begin == 0) {
      Chunk<Heads, F16>(a, q, begin, n, &all);
    } else {
      Partial chunk;
      Chunk<Heads, F16>(a, q, begin, n, &chunk);
      Merge<Heads>(a, chunk, &all);
    }
  }
  for (int h = 0; h < Heads; ++h) {
    const V factor = Set1(1.0f / all.sum[h]);
    float* out = a.out + (head + h) * a.head_dim;
    for (size_t d = 0; d < a.head_dim; d += 16) {
      const size_t count = a.head_dim - d < 16 ? a.head_dim - d : 16;
      StoreN(out + d, Mul(Load(all.out[h] + d), factor), count);
    }
  }
}

template <bool F16>
void AttendAll(const AttendArgs& a) {
  size_t head = 0;
  for (; head + kHeadsTile <= a.heads; head += kHeadsTile) AttendHeads<kHeadsTile, F16>(a, head);
  if constexpr (kHeadsTile > 1) {
    switch (a.heads - head) {
      case 3:
        return AttendHeads<3, F16>(a, head);
      case 2:
        return AttendHeads<2, F16>(a, head);
      case 1:
        return AttendHeads<1, F16>(a, head);
    }
  }
}

void Attend(const AttendArgs& a) {
  if (a.f16) {
    AttendAll<true>(a);
  } else {
    AttendAll<false>(a);
  }
}

void StoreKv(const StoreKvArgs& a) {
  for (size_t i = 0; i < a.padded_n; i += 16) {
    const size_t left = i < a.n ? a.n - i : 0;
    const V x = LoadN(a.x + i, left < 16 ? left : 16);
    if (a.f16) {
      const V clamped = Min(Set1(65504.0f), Max(Set1(-65504.0f), x));
      StoreF16(static_cast<uint16_t*>(a.out) + i, clamped);
    } else {
      Store(static_cast<float*>(a.out) + i, x);
    }
  }
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_BODY_H_
