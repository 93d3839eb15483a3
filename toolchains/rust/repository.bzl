"""rustc 1.85 and cargo from Debian 13, as a toolchain for rules_rust."""

load("//toolchains:debian.bzl", "fetch_set", "wrap")

_TOOLS = ["cargo", "clippy-driver", "rustc", "rustdoc", "rustfmt"]

_BUILD = """\
load("@rules_rust//rust:toolchain.bzl", "rust_stdlib_filegroup", "rust_toolchain", "rustfmt_toolchain")

exports_files(glob(["tools/*"]))

filegroup(
    name = "rustc_lib",
    # The programs behind the wrappers and their libraries, LLVM's included. rules_rust
    # links all this into a sysroot, where the wrappers in bin/ find it under usr/.
    srcs = glob(["usr/bin/*", "usr/lib/x86_64-linux-gnu/*.so*"]),
    visibility = ["//visibility:public"],
)

rust_stdlib_filegroup(
    name = "rust_std",
    # Through the usrmerge link: the sysroot needs it as lib/rustlib.
    srcs = glob(["lib/rustlib/x86_64-unknown-linux-gnu/lib/*.rlib"]),
)

rust_toolchain(
    name = "toolchain",
    binary_ext = "",
    cargo = "tools/cargo",
    clippy_driver = "tools/clippy-driver",
    default_edition = "2021",
    dylib_ext = ".so",
    exec_triple = "x86_64-unknown-linux-gnu",
    rust_doc = "tools/rustdoc",
    rust_std = ":rust_std",
    rustc = "tools/rustc",
    rustc_lib = ":rustc_lib",
    rustfmt = "tools/rustfmt",
    staticlib_ext = ".a",
    stdlib_linkflags = ["-lpthread", "-ldl"],
    target_triple = "x86_64-unknown-linux-gnu",
    visibility = ["//visibility:public"],
)

rustfmt_toolchain(
    name = "rustfmt",
    rustc = "tools/rustc",
    rustc_lib = ":rustc_lib",
    rustfmt = "tools/rustfmt",
    visibility = ["//visibility:public"],
)
"""

def _rust_repository_impl(rctx):
    fetch_set(rctx, "rust", ".")

    for tool in _TOOLS:
        wrap(rctx, "tools/" + tool, "usr/bin/" + tool)
    rctx.file("BUILD.bazel", _BUILD)

rust_repository = repository_rule(
    implementation = _rust_repository_impl,
    environ = ["INFENG_DEB_MIRROR"],
)
