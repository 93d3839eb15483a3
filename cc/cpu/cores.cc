#include "cc/cpu/cores.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace infeng {
namespace {

// The CPUs of the affinity mask; {} if it cannot be read.
std::vector<int> AllowedCpus() {
  // The kernel refuses a mask smaller than its own, whose size only trying tells.
  for (int size = 1024; size <= 1 << 18; size *= 2) {
    std::vector<cpu_set_t> mask(static_cast<size_t>(size) / CPU_SETSIZE);
    const size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0) {
      std::vector<int> cpus;
      for (int cpu = 0; cpu < size; ++cpu) {
        if (CPU_ISSET_S(cpu, bytes, mask.data())) cpus.push_back(cpu);
      }
      return cpus;
    }
    if (errno != EINVAL) break;
  }
  return {};
}

}  // namespace

CoreCount VisibleCores(const std::string& sysfs) {
  const std::vector<int> cpus = AllowedCpus();
  if (cpus.empty()) {
    const int known = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    return {known, known};
  }
  // The list of a core's CPUs is the same text for each of them.
  std::set<std::string> cores;
  int unknown = 0;
  for (const int cpu : cpus) {
    std::ifstream file(sysfs + "/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    if (std::getline(file, siblings) && !siblings.empty()) {
      cores.insert(siblings);
    } else {
      ++unknown;
    }
  }
  return {static_cast<int>(cpus.size()), static_cast<int>(cores.size()) + unknown};
}

}  // namespace infeng
