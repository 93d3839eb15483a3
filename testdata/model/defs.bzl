"""made_by: a file made by one of our own programs."""

load("//toolchains/isa:tiers.bzl", "TIERS")

_TOP_TIER = str(Label("//toolchains/isa:top_tier"))

# What our programs make is equal on all tiers, and the lower ones take minutes longer.
_fastest_tier = transition(
    implementation = lambda settings, attr: {_TOP_TIER: TIERS[-1].name},
    inputs = [],
    outputs = [_TOP_TIER],
)

def _impl(ctx):
    paths = {"src": ctx.file.src.path, "out": ctx.outputs.out.path}
    ctx.actions.run_shell(
        outputs = [ctx.outputs.out],
        inputs = [ctx.file.src],
        tools = [ctx.attr.tool[0][DefaultInfo].files_to_run],
        # What it says of its success is no news in a build.
        command = "exec \"$@\" > /dev/null",
        arguments = [ctx.executable.tool.path] + [a.format(**paths) for a in ctx.attr.arguments],
        mnemonic = "MadeBy",
        progress_message = ctx.attr.message,
    )
    return [DefaultInfo(
        files = depset([ctx.outputs.out]),
        runfiles = ctx.runfiles([ctx.outputs.out]),
    )]

made_by = rule(
    doc = "Runs a program as a genrule does, but in the target's own configuration.",
    implementation = _impl,
    attrs = {
        "arguments": attr.string_list(doc = "Of the program; {src} and {out} are replaced."),
        "message": attr.string(default = "Making %{output}"),
        "out": attr.output(mandatory = True),
        "src": attr.label(mandatory = True, allow_single_file = True),
        # Built for the target, not as a genrule's tool would be: the toolchains make programs
        # for the machine that builds, and nothing is compiled twice.
        "tool": attr.label(mandatory = True, executable = True, cfg = _fastest_tier),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
