#ifndef INFENG_CC_KERNELS_ATTENTION_EXP2_H_
#define INFENG_CC_KERNELS_ATTENTION_EXP2_H_

// 2^x for softmax, over 16 lanes by correctly rounded operations only. Include a tier's lanes
// header before this one.

namespace infeng {
namespace {

// Keys and queries of integer caches are rotated over blocks of so many dimensions.
inline size_t RotationBlock(size_t padded_dim) { return padded_dim & (~padded_dim + 1); }

// 2^x for x <= 0; 0 where x < -125, minus infinity included; NaN of NaN. At most 2.1 ulp from the
// true value (test.cc checks it), exact at 0. x = n + r with |r| <= 1/2, then a minimax polynomial.
inline V Exp2(V x) {
  // Adding 1.5 * 2^23 rounds to an integer, kept in the low bits of t.
  const V magic = Set1(12582912.0f);
  const V t = Add(x, magic);
  const V r = Sub(x, Sub(t, magic));
  V p = Set1(0x1.5bba14p-10f);
  p = Fma(p, r, Set1(0x1.3cea88p-7f));
  p = Fma(p, r, Set1(0x1.c6b752p-5f));
  p = Fma(p, r, Set1(0x1.ebf9bcp-3f));
  p = Fma(p, r, Set1(0x1.62e42ap-1f));
  p = Fma(p, r, Set1(1.0f));
  return ScalePow2Above(p, t, x, -125.0f);
}

// Of one number, by the same operations.
inline float Exp2(float x) {
  float lanes[16];
  Store(lanes, Exp2(Set1(x)));
  return lanes[0];
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_ATTENTION_EXP2_H_
