"""pytest_test: a py_test whose sources are run by pytest."""

load("@rules_python//python:defs.bzl", "py_test")

def pytest_test(name, srcs, deps = [], args = [], data = [], **kwargs):
    """Runs pytest over the test files among srcs.

    Args:
      name: the test's name
      srcs: files; those named *_test.py, test_*.py are collected, the others imported
      deps: py_library targets
      args: further arguments of pytest
      data: files that the tests read
      **kwargs: passed to py_test
    """
    collected = [s for s in srcs if s.endswith("_test.py") or s.split("/")[-1].startswith("test_")]
    py_test(
        name = name,
        srcs = srcs + ["//tools/pytest:main.py"],
        args = ["$(location {})".format(s) for s in collected] + args,
        data = data,
        main = "//tools/pytest:main.py",
        deps = deps + ["@pypi//pytest"],
        **kwargs
    )
