"""pybind_extension under the label that pybind11's users know.

The public module of this name brings its own Python and its own archives; this one uses the
pinned CPython and the headers of the pinned pybind11 wheel.
"""

load("@rules_cc//cc:defs.bzl", "cc_binary")
load("@rules_python//python:defs.bzl", "py_library")

def pybind_extension(
        name,
        srcs = [],
        deps = [],
        copts = [],
        data = [],
        imports = ["."],
        linkopts = [],
        visibility = None,
        **kwargs):
    """A Python extension module written with pybind11.

    Makes {name}.so and the py_library {name} that holds it. The labels below are the
    caller's, so its module must have a repository named pybind11.

    Args:
      name: the module's name, as in PYBIND11_MODULE
      srcs: C++ sources
      deps: cc_library targets
      copts: further compiler flags
      data: files that the module needs at run time, such as its type stubs
      imports: directories to put on sys.path, relative to this package
      linkopts: further linker flags
      visibility: who may use the library
      **kwargs: passed to both targets
    """
    cc_binary(
        name = name + ".so",
        srcs = srcs,
        copts = copts + [
            "-fexceptions",
            "-fvisibility=hidden",  # what pybind11 asks for
        ],
        # Python's symbols come from the interpreter that loads it.
        linkopts = linkopts,
        linkshared = True,
        linkstatic = True,
        visibility = ["//visibility:private"],
        deps = deps + ["@pybind11//:pybind11"],
        **kwargs
    )
    py_library(
        name = name,
        data = [name + ".so"] + data,
        imports = imports,
        visibility = visibility,
        **kwargs
    )
