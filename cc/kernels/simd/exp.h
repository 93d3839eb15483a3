#ifndef INFENG_CC_KERNELS_SIMD_EXP_H_
#define INFENG_CC_KERNELS_SIMD_EXP_H_

// e^x over 16 lanes by correctly rounded operations only. Include a tier's header before this one.

namespace infeng {
namespace {

// e^x for every finite x and both infinities; 0 below -103.98, infinity above 88.723. At most
// 1.0 ulp from the true value (activation/test.cc checks it), denormal results included.
// Cody and Waite's reduction x = n ln2 + r, |r| <= ln2/2, then a minimax polynomial of degree 6.
inline V Exp(V x) {
  const V x_clamped = Min(Set1(89.0f), Max(Set1(-104.0f), x));
  // Adding 1.5 * 2^23 rounds to an integer, kept in the low bits of t.
  const V magic = Set1(12582912.0f);
  const V t = Fma(x_clamped, Set1(0x1.715476p+0f), magic);
  const V n = Sub(t, magic);
  V r = Fma(n, Set1(-0x1.62e430p-1f), x_clamped);
  r = Fma(n, Set1(0x1.05c610p-29f), r);
  V p = Set1(0x1.6a23dp-10f);
  p = Fma(p, r, Set1(0x1.123a2p-7f));
  p = Fma(p, r, Set1(0x1.5558f2p-5f));
  p = Fma(p, r, Set1(0x1.555492p-3f));
  p = Fma(p, r, Set1(0x1.fffffcp-2f));
  p = Fma(p, r, Set1(1.0f));
  p = Fma(p, r, Set1(1.0f));
  return MulPow2(p, t);
}

}  // namespace
}  // namespace infeng

#endif  // INFENG_CC_KERNELS_SIMD_EXP_H_
