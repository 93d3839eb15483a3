#ifndef INFENG_CC_CPU_CORES_H_
#define INFENG_CC_CPU_CORES_H_

#include <string>

namespace infeng {

struct CoreCount {
  int logical = 1;   // CPUs that this process may run on
  int physical = 1;  // cores that those CPUs belong to: hyperthreads of one core count once
};

// What the calling thread's affinity mask allows, so taskset and container CPU sets count.
// Where the topology cannot be read, each logical CPU counts as a core.
// sysfs: the folder of CPU folders; tests give another.
CoreCount VisibleCores(const std::string& sysfs = "/sys/devices/system/cpu");

}  // namespace infeng

#endif  // INFENG_CC_CPU_CORES_H_
