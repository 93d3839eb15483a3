"""One npm package, by name, version and sha256, unpacked into a repository."""

_CHECK = "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())"

def _npm_package_impl(rctx):
    rctx.file("BUILD.bazel", """\
package(default_visibility = ["//visibility:public"])

filegroup(
    name = "files",
    srcs = {} + glob(["package/models/**"], allow_empty = True),
)
""".format(["unavailable.txt"]))
    npm = rctx.which("npm")
    if not npm:
        # Tests that need it are skipped, with this line as the reason.
        rctx.file("unavailable.txt", "npm is not on this host\n")
        return

    # The user's npm configuration applies, the registry included.
    spec = "{}@{}".format(rctx.attr.package, rctx.attr.version)
    result = rctx.execute([npm, "pack", "--silent", spec], timeout = 1200)
    if result.return_code:
        fail("npm cannot fetch {}:\n{}".format(spec, result.stderr))
    archive = result.stdout.strip().split("\n")[-1]
    digest = rctx.execute([rctx.which("python3"), "-c", _CHECK, archive]).stdout.strip()
    if digest != rctx.attr.sha256:
        fail("{}: sha256 {} where {} is expected".format(spec, digest, rctx.attr.sha256))
    rctx.extract(archive)
    rctx.delete(archive)
    rctx.file("unavailable.txt", "")

npm_package = repository_rule(
    doc = "An npm package's files; without npm on the host, a file that says so.",
    implementation = _npm_package_impl,
    attrs = {
        "package": attr.string(mandatory = True),
        "sha256": attr.string(mandatory = True),
        "version": attr.string(mandatory = True),
    },
)
