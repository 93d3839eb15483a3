"""The planted slowdown as a header, so that only binaries that include it depend on the flag."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")

def _planted_header_impl(ctx):
    percent = ctx.attr.percent[BuildSettingInfo].value
    if percent < 0 or percent > 100:
        fail("{}: expected 0 to 100 percent, found {}".format(ctx.attr.percent.label, percent))
    ctx.actions.write(ctx.outputs.out, """\
#ifndef INFENG_PERF_BENCH_PLANTED_SLOWDOWN_H_
#define INFENG_PERF_BENCH_PLANTED_SLOWDOWN_H_

namespace infeng::bench {{

inline constexpr int kPlantedSlowdownPercent = {};

}}  // namespace infeng::bench

#endif  // INFENG_PERF_BENCH_PLANTED_SLOWDOWN_H_
""".format(percent))

planted_header = rule(
    implementation = _planted_header_impl,
    attrs = {
        "out": attr.output(mandatory = True),
        "percent": attr.label(mandatory = True, providers = [BuildSettingInfo]),
    },
)
