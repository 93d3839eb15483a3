#ifndef INFENG_PERF_PEAKS_PEAKS_H_
#define INFENG_PERF_PEAKS_PEAKS_H_

#include "cc/cpu/cpu.h"
#include "perf/peaks/tier.h"

namespace infeng {

// The loops of a tier that is compiled in and usable on this CPU.
const PeakTier& PeakKernels(Tier tier);

}  // namespace infeng

#endif  // INFENG_PERF_PEAKS_PEAKS_H_
