"""One wheel, by name, version and sha256, unpacked into a repository."""

_BUILD = """\
load("@rules_python//python:defs.bzl", "py_library")

package(default_visibility = ["//visibility:public"])

py_library(
    name = "lib",
    srcs = glob(["site/**/*.py"], allow_empty = True, exclude = ["**/* *"]),
    data = glob(["site/**"], exclude = ["**/*.py", "**/*.pyc", "**/* *"]),
    imports = ["site"],
    deps = {deps},
)

filegroup(
    name = "files",
    srcs = glob(["site/**"], exclude = ["**/*.pyc", "**/* *"]),
)
"""

def _wheel_repository_impl(rctx):
    python = rctx.path(Label("@python//:usr/bin/python3"))
    pip = python.dirname.dirname.dirname.get_child("pip")
    rctx.file("requirement.txt", "{}=={} --hash=sha256:{}\n".format(
        rctx.attr.distribution,
        rctx.attr.version,
        rctx.attr.sha256,
    ))
    result = rctx.execute(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--target=site",
            "--no-deps",  # the lock lists everything
            "--require-hashes",
            "--only-binary=:all:",
            "--no-compile",  # .pyc files hold times
            "--no-cache-dir",  # Bazel keeps the unpacked wheel
            "--disable-pip-version-check",
            "--requirement=requirement.txt",
        ],
        # The user's pip configuration applies, the index included.
        environment = {
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": "{}/usr/lib/python3/dist-packages".format(pip),
        },
        timeout = 3600,
    )
    if result.return_code:
        fail("pip cannot install {}=={}:\n{}".format(
            rctx.attr.distribution,
            rctx.attr.version,
            result.stderr,
        ))

    # Scripts name this folder in their first line, and RECORD has their hashes: with them,
    # the same wheel would differ from one checkout to the next.
    scripts = rctx.path("site/bin")
    if scripts.exists:
        for script in scripts.readdir():
            if rctx.read(script).startswith("#!"):
                rctx.delete(script)
    for path in rctx.path("site").readdir():
        if path.basename.endswith(".dist-info"):
            rctx.delete(path.get_child("RECORD"))
            rctx.delete(path.get_child("direct_url.json"))
    if rctx.attr.build_file:
        rctx.symlink(rctx.attr.build_file, "BUILD.bazel")
    else:
        rctx.file("BUILD.bazel", _BUILD.format(deps = [str(d) for d in rctx.attr.deps]))

wheel_repository = repository_rule(
    doc = "A wheel as the py_library `lib`, or with a BUILD file of one's own over site/.",
    implementation = _wheel_repository_impl,
    attrs = {
        "build_file": attr.label(allow_single_file = True),
        "deps": attr.string_list(doc = "Labels of the py_library targets it imports."),
        "distribution": attr.string(mandatory = True),
        "sha256": attr.string(mandatory = True),
        "version": attr.string(mandatory = True),
    },
    environ = [
        "PIP_CERT",
        "PIP_CONFIG_FILE",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "PIP_INDEX_URL",
    ],
)
