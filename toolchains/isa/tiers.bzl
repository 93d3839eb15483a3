"""The one table of ISA tiers, and the kernel targets made from it.

A tier's flags reach only the translation units that bear its name. Code outside them is the
same for every CPU, so nothing crashes on an older one and caches stay shared.
"""

load("@rules_cc//cc:defs.bzl", "cc_library")

_AVX2 = ["-mavx2", "-mfma", "-mf16c"]
_AVX512 = _AVX2 + [
    "-mavx512f",
    "-mavx512bw",
    "-mavx512dq",
    "-mavx512vl",
    "-mavx512vnni",
    # Clang prefers 256-bit registers unless told; the kernels say what they mean.
    "-mprefer-vector-width=512",
]

# From the lowest to the highest; cc/cpu/cpu.h has the same order.
TIERS = [
    struct(name = "scalar", copts = []),
    struct(name = "avx2", copts = _AVX2),
    struct(name = "avx512", copts = _AVX512),
    struct(name = "amx", copts = _AVX512 + ["-mamx-tile", "-mamx-int8"]),
]

# The top tier's index, for preprocessor conditions.
TOP_TIER_DEFINES = select({
    Label(":top_tier_" + TIERS[i].name): ["INFENG_TOP_TIER={}".format(i)]
    for i in range(len(TIERS))
})

def kernel_library(name, hdrs, srcs, tier_hdrs = [], tier_deps = [], deps = [], **kwargs):
    """One op: its entry, and a sealed library for each tier that has a file in this folder.

    Args:
      name: the op's library
      hdrs: the entry's headers
      srcs: the entry's sources, compiled without ISA flags: they choose the tier
      tier_hdrs: headers that only the tiers and the entry share
      tier_deps: what the tiers' own files include
      deps: what the entry needs besides
      **kwargs: passed to the entry's cc_library
    """
    cc_library(
        name = name + "_views",
        hdrs = hdrs + tier_hdrs,
        deps = tier_deps,
        visibility = ["//visibility:private"],
    )
    present = [t for t in TIERS if native.glob([t.name + ".cc"], allow_empty = True)]
    for tier in present:
        cc_library(
            name = "{}_{}".format(name, tier.name),
            srcs = [tier.name + ".cc"],
            copts = tier.copts,
            visibility = ["//visibility:private"],
            deps = [":{}_views".format(name)],
        )
    cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        deps = deps + tier_deps + [
            ":{}_views".format(name),
            "//cc/cpu:compiled_tiers",
        ] + select({
            Label(":top_tier_" + TIERS[i].name): [
                ":{}_{}".format(name, tier.name)
                for tier in present
                if tier.name in [t.name for t in TIERS[:i + 1]]
            ]
            for i in range(len(TIERS))
        }),
        **kwargs
    )
