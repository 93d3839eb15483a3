"""sweep_binary: the program of a sweep, which perf_gate takes."""

load("@rules_python//python:defs.bzl", "py_binary")

def sweep_binary(name = "sweep", deps = [], **kwargs):
    """sweep.py of this package as a program.

    Args:
      name: the target's name
      deps: what it imports besides the driver
      **kwargs: passed to the py_binary
    """
    py_binary(
        name = name,
        testonly = True,
        srcs = [
            "__init__.py",
            "sweep.py",
            "//perf/sweeps:__init__.py",
        ],
        imports = ["../../.."],
        main = "sweep.py",
        visibility = ["//perf:__pkg__"],
        deps = ["//perf/driver"] + deps,
        **kwargs
    )
