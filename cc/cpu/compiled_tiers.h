#ifndef INFENG_CC_CPU_COMPILED_TIERS_H_
#define INFENG_CC_CPU_COMPILED_TIERS_H_

// The highest tier that is compiled in, as an index: 0 scalar, 1 avx2, 2 avx512, 3 amx. The build
// sets it (toolchains/isa); preprocessor conditions use it, so it cannot be an enum.
#ifndef INFENG_TOP_TIER
#define INFENG_TOP_TIER 3
#endif

#if INFENG_TOP_TIER < 0 || INFENG_TOP_TIER > 3
#error "INFENG_TOP_TIER must be 0, 1, 2 or 3"
#endif

#endif  // INFENG_CC_CPU_COMPILED_TIERS_H_
