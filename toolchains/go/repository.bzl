"""A program compiled from a Go module, with Go 1.24 from Debian 13.

go itself downloads the modules, so checksums are those of go.sum and the host's own go
configuration, proxies included, applies.
"""

load("//toolchains:debian.bzl", "fetch_set")

_BUILD = """\
exports_files(["{program}"])
"""

def _go_program_impl(rctx):
    program = rctx.attr.package.rpartition("/")[2]
    rctx.file("module/go.mod", rctx.read(rctx.attr.go_mod))
    rctx.file("module/go.sum", rctx.read(rctx.attr.go_sum))
    fetch_set(rctx, "go", "go")
    root = rctx.path("go/usr/lib/go-1.24")
    result = rctx.execute(
        [
            root.get_child("bin", "go"),
            "build",
            "-mod=readonly",
            "-modcacherw",  # so that it can be deleted
            "-trimpath",
            "-buildvcs=false",
            "-o=" + str(rctx.path(program)),
            rctx.attr.package,
        ],
        environment = {
            # One result on every host.
            "CGO_ENABLED": "0",
            "GOAMD64": "v1",
            "GOARCH": "amd64",
            "GOEXPERIMENT": "",
            "GOOS": "linux",
            "GOROOT": str(root),
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            # Nothing is left on the host.
            "GOCACHE": str(rctx.path("work/cache")),
            "GOMODCACHE": str(rctx.path("work/modules")),
            "GOPATH": str(rctx.path("work")),
        },
        timeout = 1800,
        working_directory = "module",
    )
    if result.return_code:
        fail("go cannot build {}:\n{}".format(rctx.attr.package, result.stderr))
    for folder in ["go", "module", "work"]:
        rctx.delete(folder)
    rctx.file("BUILD.bazel", _BUILD.format(program = program))

go_program = repository_rule(
    doc = "`@NAME//:PROGRAM`, for x86_64 Linux.",
    implementation = _go_program_impl,
    attrs = {
        "go_mod": attr.label(mandatory = True, allow_single_file = True),
        "go_sum": attr.label(mandatory = True, allow_single_file = True),
        "package": attr.string(mandatory = True, doc = "The import path; its last part names the program."),
    },
    environ = ["INFENG_DEB_MIRROR"],
)
