#include "py/infeng/native/cpu_bindings.h"

#include <pybind11/stl.h>

#include <string>

#include "cc/cpu/cores.h"
#include "cc/cpu/cpu.h"
#include "py/infeng/native/raise.h"

namespace infeng {
namespace {

namespace py = pybind11;

py::dict Tiers(const CpuFeatures& features) {
  py::dict tiers;
  for (const Tier tier : kTiers) {
    std::string why_not;
    const bool usable = TierUsable(tier, features, &why_not);
    tiers[TierName(tier)] =
        py::dict(py::arg("compiled") = TierCompiled(tier), py::arg("usable") = usable,
                 py::arg("why_not") = usable ? std::string() : why_not);
  }
  return tiers;
}

py::dict CpuInfo() {
  const CpuFeatures features = DetectCpu();
  const CoreCount cores = VisibleCores();
  const Tier chosen = BestUsableTier(features);
  py::dict info;
  info["vendor"] = features.vendor;
  info["brand"] = features.brand;
  info["family"] = features.family;
  info["model"] = features.model;
  info["stepping"] = features.stepping;
  info["physical_cores"] = cores.physical;
  info["logical_cores"] = cores.logical;
  info["l1d_bytes"] = features.l1d_bytes;
  info["l2_bytes"] = features.l2_bytes;
  info["l3_bytes"] = features.l3_bytes;
  info["features"] = FeatureNames(features);
  info["tiers"] = Tiers(features);
  info["chosen"] = TierName(chosen);
  info["hardware_key"] = HardwareKey(features, chosen, cores.physical);
  return info;
}

}  // namespace

void BindCpu(py::module_& m) {
  m.def("cpu_info", &CpuInfo,
        "Return what this machine is: dict of\n\n"
        "brand, vendor: str, as the CPU spells them; family, model, stepping: int\n"
        "physical_cores, logical_cores: int, those that this process may use\n"
        "l1d_bytes, l2_bytes, l3_bytes: int, of one cache, 0 if unknown\n"
        "features: list of str, the CPU's instruction sets that a tier needs\n"
        "tiers: dict of 'scalar', 'avx2', 'avx512', 'amx' to a dict of compiled (bool: this build "
        "has "
        "its kernels), usable (bool: CPU and operating system can run them), why_not (str, '' if "
        "usable)\n"
        "chosen: str, the tier that 'auto' takes\n"
        "hardware_key: str, vendor-family-model-tier-cores: measurements under the same key may "
        "be compared");
  m.def(
      "choose_tier",
      [](const std::string& force_path) {
        return TierName(
            ValueOrRaise(ChooseTier(force_path, DetectCpu()), NotFoundAs::kFileNotFoundError));
      },
      py::arg("force_path"),
      "Return the tier (str) that force_path means: 'auto' is the best, 'scalar', 'avx2', "
      "'avx512' and 'amx' that one.\n\n"
      "Raises ValueError, one line that says what is missing, for another name or a tier that "
      "this build or machine lacks.");
}

}  // namespace infeng
