"""clang-tidy as an aspect: each C++ source with the flags it is compiled with.

    bazel build --config=clang-tidy //cc/...
"""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "CPP_COMPILE_ACTION_NAME")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain", "use_cpp_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

def _flags(ctx, toolchain, context):
    """What Bazel would give the compiler for this target."""
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        user_compile_flags = ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts +
                             getattr(ctx.rule.attr, "copts", []),
        include_directories = context.includes,
        quote_include_directories = context.quote_includes,
        system_include_directories = depset(transitive = [
            context.system_includes,
            context.external_includes,
        ]),
        preprocessor_defines = depset(transitive = [context.defines, context.local_defines]),
    )
    return cc_common.get_memory_inefficient_command_line(
        feature_configuration = features,
        action_name = CPP_COMPILE_ACTION_NAME,
        variables = variables,
    )

def _clang_tidy_aspect_impl(target, ctx):
    if CcInfo not in target or target.label.workspace_name:
        return []
    toolchain = find_cpp_toolchain(ctx)
    context = target[CcInfo].compilation_context
    flags = _flags(ctx, toolchain, context)
    reports = []
    sources = [
        file
        for src in getattr(ctx.rule.attr, "srcs", [])
        for file in src.files.to_list()
        if file.is_source and file.extension == "cc"
    ]
    for source in sources:
        report = ctx.actions.declare_file("{}.{}.clang-tidy".format(ctx.label.name, source.basename))
        reports.append(report)
        ctx.actions.run_shell(
            # Paths as in the checkout, not as in the sandbox.
            command = """"$@" > {0} 2>&1 ||
                {{ sed -e "s|$PWD/||" -e '/ warnings* generated/d' {0}; exit 1; }}""".format(
                report.path,
            ),
            arguments = [
                ctx.file._clang_tidy.path,
                "--quiet",
                "--config-file=" + ctx.file._config.path,
                source.path,
                "--",
            ] + flags,
            inputs = depset(
                [source, ctx.file._config],
                transitive = [context.headers, toolchain.all_files],
            ),
            outputs = [report],
            tools = [ctx.file._clang_tidy],
            mnemonic = "ClangTidy",
            progress_message = "clang-tidy " + source.short_path,
        )
    return [OutputGroupInfo(clang_tidy = depset(reports))]

clang_tidy_aspect = aspect(
    implementation = _clang_tidy_aspect_impl,
    attrs = {
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
        "_clang_tidy": attr.label(default = "@llvm//:tools/clang-tidy", allow_single_file = True),
        "_config": attr.label(default = "//:.clang-tidy", allow_single_file = True),
    },
    fragments = ["cpp"],
    toolchains = use_cpp_toolchain(),
)
