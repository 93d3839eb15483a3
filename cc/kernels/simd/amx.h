#ifndef INFENG_CC_KERNELS_SIMD_AMX_H_
#define INFENG_CC_KERNELS_SIMD_AMX_H_

// Tiles multiply bytes alone; the 16 virtual lanes are those of AVX-512.

#include "cc/kernels/simd/avx512.h"  // IWYU pragma: export

#endif  // INFENG_CC_KERNELS_SIMD_AMX_H_
