"""Fuzz targets: one harness, run by libFuzzer or over the files of its corpus."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

def fuzz_target(name, srcs, deps, corpus, size = "small"):
    """Makes a fuzzer of a LLVMFuzzerTestOneInput.

    Two targets: `NAME_test`, in every `bazel test`, gives the harness each file of the corpus once;
    `NAME`, with --config=fuzz alone, is libFuzzer over the same harness.

    Args:
      name: of the fuzzer.
      srcs: the harness; it may bring a LLVMFuzzerCustomMutator.
      deps: of the harness.
      corpus: files, at least one.
      size: of the test.
    """
    if not corpus:
        fail("{}: the corpus is empty: its test would test nothing".format(name))
    cc_library(
        name = name + "_harness",
        testonly = True,
        srcs = srcs,
        deps = deps,
        alwayslink = True,
    )
    cc_test(
        name = name + "_test",
        size = size,
        args = ["$(rootpath {})".format(file) for file in corpus],
        data = corpus,
        deps = [
            ":" + name + "_harness",
            "//tools/fuzz:replay",
        ],
    )
    cc_binary(
        name = name,
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        target_compatible_with = select({
            "//tools/fuzz:is_instrumented": [],
            "//conditions:default": ["@platforms//:incompatible"],
        }),
        deps = [
            ":" + name + "_harness",
            "//tools/fuzz:runtime",
        ],
    )
