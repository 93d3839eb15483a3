#include "cc/cpu/cpuid.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace infeng {
namespace {

constexpr uint64_t kXcr0Ymm = 0x06;  // XMM, YMM
constexpr uint64_t kXcr0Zmm = 0xe6;  // and mask registers, upper ZMM0-15, ZMM16-31

constexpr uint64_t kXcr0Tile = uint64_t{3} << 17;  // configuration, data

// Of arch_prctl; asm/prctl.h of older kernels lacks it.
constexpr int kRequestComponent = 0x1023;  // ARCH_REQ_XCOMP_PERM
constexpr int kTileData = 18;              // the component's bit in XCR0

constexpr uint32_t kExtended = 0x80000000;
constexpr uint32_t kIntelCaches = 4;
constexpr uint32_t kAmdCaches = 0x8000001d;
constexpr uint32_t kTilePalette = 0x1d;
constexpr uint32_t kTileMultiplier = 0x1e;
// Real CPUs list four or five; a hypervisor that never ends its list must not hang us.
constexpr uint32_t kMaxCaches = 16;

bool Bit(uint32_t value, int bit) { return ((value >> bit) & 1) != 0; }

void Append(uint32_t four_characters, std::string* text) {
  char bytes[4];
  std::memcpy(bytes, &four_characters, sizeof(bytes));
  text->append(bytes, sizeof(bytes));
}

// Cuts at the first NUL, turns what is not printable into '?' and strips spaces: the text goes
// into messages.
std::string Clean(const std::string& raw) {
  std::string text = raw.substr(0, raw.find('\0'));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

void DecodeSignature(uint32_t eax, CpuFeatures* features) {
  const uint32_t base_family = (eax >> 8) & 0xf;
  const uint32_t base_model = (eax >> 4) & 0xf;
  features->stepping = eax & 0xf;
  features->family = base_family == 0xf ? base_family + ((eax >> 20) & 0xff) : base_family;
  const bool extended_model = base_family == 0x6 || base_family == 0xf;
  features->model = extended_model ? base_model + (((eax >> 16) & 0xf) << 4) : base_model;
}

// Leaf 4 of Intel and leaf 0x8000001d of AMD have the same form.
void DecodeCaches(const CpuidSource& source, uint32_t leaf, CpuFeatures* features) {
  for (uint32_t i = 0; i < kMaxCaches; ++i) {
    const CpuidRegisters r = source.cpuid(leaf, i);
    const uint32_t type = r.eax & 0x1f;  // 0 none, 1 data, 2 instructions, 3 both
    if (type == 0) return;
    if (type == 2) continue;
    const uint64_t ways = ((r.ebx >> 22) & 0x3ff) + 1;
    const uint64_t partitions = ((r.ebx >> 12) & 0x3ff) + 1;
    const uint64_t line_bytes = (r.ebx & 0xfff) + 1;
    const uint64_t sets = uint64_t{r.ecx} + 1;
    const uint64_t bytes = ways * partitions * line_bytes * sets;
    switch ((r.eax >> 5) & 0x7) {
      case 1:
        features->l1d_bytes = bytes;
        break;
      case 2:
        features->l2_bytes = bytes;
        break;
      case 3:
        features->l3_bytes = bytes;
        break;
      default:
        break;
    }
  }
}

// Palette 1 of leaf 0x1d as the kernels use it: eight tiles of 16 rows of 64 bytes, and leaf 0x1e a
// multiplier that takes them whole.
bool HasFullTiles(const CpuidSource& source, uint32_t highest) {
  if (highest < kTileMultiplier) return false;
  const CpuidRegisters palette = source.cpuid(kTilePalette, 1);
  const CpuidRegisters multiplier = source.cpuid(kTileMultiplier, 0);
  return source.cpuid(kTilePalette, 0).eax >= 1 && palette.ebx >> 16 >= 8 &&
         (palette.ebx & 0xffff) >= 64 && (palette.ecx & 0xffff) >= 16 &&
         (multiplier.ebx & 0xff) >= 16 && (multiplier.ebx >> 8 & 0xffff) >= 64;
}

}  // namespace

CpuidSource MachineCpuid() {
  return {
      [](uint32_t leaf, uint32_t subleaf) {
        CpuidRegisters r;
        __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
        return r;
      },
      [] {
        // The intrinsic would need -mxsave for this whole file.
        uint32_t low = 0;
        uint32_t high = 0;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        return (uint64_t{high} << 32) | low;
      },
      [] { return syscall(SYS_arch_prctl, kRequestComponent, kTileData) == 0 ? 0 : errno; },
  };
}

CpuFeatures DecodeCpuid(const CpuidSource& source) {
  CpuFeatures features;
  const CpuidRegisters leaf0 = source.cpuid(0, 0);
  const uint32_t highest = leaf0.eax;
  for (const uint32_t part : {leaf0.ebx, leaf0.edx, leaf0.ecx}) Append(part, &features.vendor);
  features.vendor = Clean(features.vendor);

  if (highest >= 1) {
    const CpuidRegisters r = source.cpuid(1, 0);
    DecodeSignature(r.eax, &features);
    features.fma = Bit(r.ecx, 12);
    features.osxsave = Bit(r.ecx, 27);
    features.avx = Bit(r.ecx, 28);
    features.f16c = Bit(r.ecx, 29);
  }
  if (features.osxsave) {
    features.xcr0 = source.xcr0();
    features.os_ymm = (features.xcr0 & kXcr0Ymm) == kXcr0Ymm;
    features.os_zmm = (features.xcr0 & kXcr0Zmm) == kXcr0Zmm;
    features.os_tile = (features.xcr0 & kXcr0Tile) == kXcr0Tile;
  }
  if (highest >= 7) {
    const CpuidRegisters r = source.cpuid(7, 0);
    features.avx2 = Bit(r.ebx, 5);
    features.avx512f = Bit(r.ebx, 16);
    features.avx512dq = Bit(r.ebx, 17);
    features.avx512bw = Bit(r.ebx, 30);
    features.avx512vl = Bit(r.ebx, 31);
    features.avx512vnni = Bit(r.ecx, 11);
    features.amx_tile = Bit(r.edx, 24) && HasFullTiles(source, highest);
    features.amx_int8 = Bit(r.edx, 25);
  }
  if (features.amx_tile && features.os_tile) features.tile_refusal = source.request_tiles();

  const uint32_t highest_extended = source.cpuid(kExtended, 0).eax;
  if (highest_extended >= kExtended + 4) {
    for (uint32_t leaf = kExtended + 2; leaf <= kExtended + 4; ++leaf) {
      const CpuidRegisters r = source.cpuid(leaf, 0);
      for (const uint32_t part : {r.eax, r.ebx, r.ecx, r.edx}) Append(part, &features.brand);
    }
    features.brand = Clean(features.brand);
  }

  const bool topology_extensions =
      highest_extended >= kAmdCaches && Bit(source.cpuid(kExtended + 1, 0).ecx, 22);
  if (topology_extensions) {
    DecodeCaches(source, kAmdCaches, &features);
  } else if (highest >= kIntelCaches) {
    DecodeCaches(source, kIntelCaches, &features);
  }
  return features;
}

}  // namespace infeng
