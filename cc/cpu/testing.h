#ifndef INFENG_CC_CPU_TESTING_H_
#define INFENG_CC_CPU_TESTING_H_

#include <string>
#include <vector>

#include "cc/cpu/cpu.h"

namespace infeng {

// Every tier, for tests with a parameter.
std::vector<Tier> AllTiers();

// Why the tier cannot run here, for GTEST_SKIP; "" if it can.
std::string SkipReason(Tier tier);

}  // namespace infeng

#endif  // INFENG_CC_CPU_TESTING_H_
