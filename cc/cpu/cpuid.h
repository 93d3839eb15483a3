#ifndef INFENG_CC_CPU_CPUID_H_
#define INFENG_CC_CPU_CPUID_H_

#include <cstdint>
#include <functional>

#include "cc/cpu/cpu.h"

namespace infeng {

struct CpuidRegisters {
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
};

// Where the bits come from: the machine, or a test's table.
struct CpuidSource {
  std::function<CpuidRegisters(uint32_t leaf, uint32_t subleaf)> cpuid;
  // Called only if CPUID says that the instruction exists (OSXSAVE).
  std::function<uint64_t()> xcr0;
  // Asks the operating system for tiles; 0 or an errno. Called only if CPU and XCR0 have them.
  std::function<int()> request_tiles;
};

CpuidSource MachineCpuid();

// A pure function of what the source answers. Leaves beyond the CPU's highest are not asked for:
// some CPUs answer those with the data of another leaf.
CpuFeatures DecodeCpuid(const CpuidSource& source);

}  // namespace infeng

#endif  // INFENG_CC_CPU_CPUID_H_
