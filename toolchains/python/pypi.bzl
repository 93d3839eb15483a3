"""The wheels of a lock file as `@pypi//NAME`, each with what it imports."""

load(":wheel.bzl", "wheel_repository")

def _repository(name):
    return "pypi_" + name.replace("-", "_")

def _hub_impl(rctx):
    for name in rctx.attr.names:
        rctx.file(name.replace("-", "_") + "/BUILD.bazel", """\
package(default_visibility = ["//visibility:public"])

alias(name = "{target}", actual = "@{repository}//:lib")

alias(name = "files", actual = "@{repository}//:files")
""".format(target = name.replace("-", "_"), repository = _repository(name)))
    rctx.file("BUILD.bazel")

_hub = repository_rule(
    implementation = _hub_impl,
    attrs = {"names": attr.string_list()},
)

def _pypi_impl(mctx):
    for module in mctx.modules:
        for tag in module.tags.parse:
            lock = json.decode(mctx.read(tag.lock))
            for name, entry in lock.items():
                wheel_repository(
                    name = _repository(name),
                    deps = ["@{}//:lib".format(_repository(d)) for d in entry["deps"]],
                    distribution = name,
                    sha256 = entry["sha256"],
                    version = entry["version"],
                )
            _hub(name = "pypi", names = lock.keys())

pypi = module_extension(
    implementation = _pypi_impl,
    tag_classes = {"parse": tag_class(attrs = {"lock": attr.label(mandatory = True)})},
)
