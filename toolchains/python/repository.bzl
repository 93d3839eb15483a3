"""CPython 3.11 from Debian packages, runnable from anywhere."""

load("//toolchains:debian.bzl", "fetch_set", "wrap")

_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library")
load("@rules_python//python:defs.bzl", "py_runtime", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

py_runtime(
    name = "runtime",
    files = glob(
        [
            "usr/bin/python3*",
            "usr/lib/python3.11/**",
            "usr/lib/x86_64-linux-gnu/**",
        ],
        exclude = ["**/__pycache__/**", "**/* *"],
    ),
    interpreter = "usr/bin/python3",
    python_version = "PY3",
)

py_runtime_pair(
    name = "runtimes",
    py3_runtime = ":runtime",
)

cc_library(
    name = "headers",
    hdrs = glob(["usr/include/python3.11/**", "usr/include/x86_64-linux-gnu/**"]),
    includes = ["usr/include", "usr/include/python3.11"],
)
"""

def _python_repository_impl(rctx):
    fetch_set(rctx, "python", ".")

    # The wrapper is next to the program so that sys.executable, hence sys.prefix and
    # child processes, lead back here and not to the host.
    wrap(rctx, "usr/bin/python3", "usr/bin/python3.11")

    # pip lies apart: programs must not see it, or what it brings, on sys.path.
    fetch_set(rctx, "pip", "pip")
    rctx.file("BUILD.bazel", _BUILD)

python_repository = repository_rule(
    implementation = _python_repository_impl,
    environ = ["INFENG_DEB_MIRROR"],
)
