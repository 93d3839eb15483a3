#include "cc/cpu/testing.h"

#include <iterator>

namespace infeng {

std::vector<Tier> AllTiers() { return {std::begin(kTiers), std::end(kTiers)}; }

std::string SkipReason(Tier tier) {
  if (!TierCompiled(tier)) return std::string(TierName(tier)) + " is not compiled in";
  std::string why_not;
  TierUsable(tier, DetectCpu(), &why_not);
  return why_not;
}

}  // namespace infeng
