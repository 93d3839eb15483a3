"""perf_gate: a speed or quality claim as a test.

What a gate is, and how to add one: docs/perf.md.
"""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("@rules_python//python:defs.bzl", "py_binary", "py_test")
load("//tools/pytest:defs.bzl", "pytest_test")

_PLANTED = "//perf:planted_slowdown"

def _opt_impl(settings, attr):
    return {
        "//command_line_option:compilation_mode": "opt",
        "//command_line_option:features": [],
        _PLANTED: settings[_PLANTED] if attr.planted_slowdown < 0 else attr.planted_slowdown,
    }

# Also when the test runs under -c dbg or a sanitizer: only optimised code is measured.
_opt = transition(
    implementation = _opt_impl,
    inputs = [_PLANTED],
    outputs = [
        "//command_line_option:compilation_mode",
        "//command_line_option:features",
        _PLANTED,
    ],
)

def _opt_binary_impl(ctx):
    target = ctx.attr.binary[0]
    inner = target[DefaultInfo].files_to_run.executable
    program = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = program, target_file = inner, is_executable = True)
    files = ctx.runfiles([program]).merge(target[DefaultInfo].default_runfiles)
    return [DefaultInfo(executable = program, files = depset([program]), runfiles = files)]

opt_binary = rule(
    implementation = _opt_binary_impl,
    attrs = {
        "binary": attr.label(cfg = _opt, executable = True, mandatory = True),
        "planted_slowdown": attr.int(default = -1, doc = "below 0: what the command line says"),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    executable = True,
)

def _planted_binaries_impl(ctx):
    links = []
    for target in ctx.attr.binaries:
        inner = target[DefaultInfo].files_to_run.executable
        link = ctx.actions.declare_file(ctx.label.name + "/" + inner.short_path)
        ctx.actions.symlink(output = link, target_file = inner, is_executable = True)
        links.append(link)
    return [DefaultInfo(files = depset(links), runfiles = ctx.runfiles(links))]

# A folder of its own: two builds of one binary would have one place among the run files.
_planted_binaries = rule(
    implementation = _planted_binaries_impl,
    attrs = {
        "binaries": attr.label_list(cfg = _opt, mandatory = True),
        "planted_slowdown": attr.int(mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)

def ratio_bound(
        table,
        comparison,
        where = {},
        at_least = None,
        at_most = None,
        environment = "",
        peaks = ""):
    """A bound on a ratio that was measured side by side in one run (rank 1).

    Args:
      table: the CSV's name
      comparison: the name that the sweep gave the comparison
      where: column to value: "576", ">=2048", or alternatives "1|4"
      at_least: lowest ratio (reference time / our time)
      at_most: highest ratio
      environment: a variable that overrides the number
      peaks: two of the machine's peaks as "int8_gops/f32_gflops": where their measured quotient is
        below at_least, no kernel can hold it, and 0.9 of the quotient is the bound
    """
    return struct(
        table = table,
        where = where,
        comparison = comparison,
        column = "",
        at_least = at_least,
        at_most = at_most,
        environment = environment,
        peaks = peaks,
    )

def count_bound(
        table,
        column,
        where = {},
        at_least = None,
        at_most = None,
        environment = "",
        warn = False):
    """A bound on a column that has no noise (rank 0): bytes, allocations, exactness.

    Args:
      table: the CSV's name
      column: the column's name
      where: as for ratio_bound
      at_least: lowest value
      at_most: highest value
      environment: a variable that overrides the number
      warn: a value beyond is a WARN and no failure; then the column may have noise
    """
    return struct(
        table = table,
        where = where,
        comparison = "",
        column = column,
        at_least = at_least,
        at_most = at_most,
        environment = environment,
        warn = warn,
    )

def drift_bound(table, column, at_most, where = {}):
    """A WARN when a column is further above the baseline's than it may be.

    Args:
      table: the CSV's name
      column: the column's name
      at_most: by how much, in the column's unit
      where: as for ratio_bound
    """
    return struct(
        table = table,
        where = where,
        comparison = "",
        column = column,
        at_least = None,
        at_most = at_most,
        environment = "",
        warn = True,
        drift = True,
    )

def csv_pair(name, join, value):
    """How two CSV files of separate runs are compared.

    Args:
      name: the comparison that bounds are on
      join: columns that tell which rows belong together
      value: the column of the rate
    """
    return struct(name = name, join = join, value = value)

# exclusive: nothing else runs meanwhile. external: a cached PASS would be no evidence.
_TAGS = ["cpu:2", "exclusive", "external", "no-cache", "no-remote", "perf"]

def perf_gate(
        name,
        sweep,
        bounds = [],
        baseline = "yardstick",
        sweep_name = None,
        quick_args = [],
        full_args = [],
        spread_limit = 0.02,
        tolerance = 0.03,
        attempts = 3,
        compare = None,
        pair = None,
        tags = [],
        **kwargs):
    """The targets of a gate: NAME (the test), NAME_sweep, compare_NAME, update_NAME_baseline, NAME_endurance.

    Args:
      name: the gate's name, e.g. "gemm"
      sweep: the sweep's py_binary, whose main is perf.driver.sweep.main
      bounds: ratio_bound() and count_bound()
      baseline: the comparison that is held against the stored baseline, None for none. It must be a
        ratio to something that is slow when the machine is: a yardstick of perf/peaks
      sweep_name: the Sweep's name, if it is not the gate's
      quick_args: flags of the short form besides --quick; `bazel test //...` runs it: at most 60 s
      full_args: flags of the full form (--config=perf)
      spread_limit: the A/A spread above which a row is INCONCLUSIVE
      tolerance: the share by which a row may be slower than the baseline before it counts; more than
        runs of the sweep differ by on machines of one hardware key
      attempts: runs in all, for rows that fail once or are inconclusive
      compare: the name of the comparing program, compare_NAME if left out
      pair: csv_pair(), if `compare` takes --native and --python too
      tags: further tags of the test
      **kwargs: passed to the py_test
    """
    sweep_name = sweep_name or name
    opt_binary(
        name = name + "_sweep",
        testonly = True,
        binary = sweep,
    )
    rules = name + "_rules"
    write_file(
        name = rules,
        out = rules + ".json",
        content = [json.encode(struct(
            name = name,
            sweep = sweep_name,
            bounds = bounds,
            comparison = baseline or "",
            spread_limit = spread_limit,
            tolerance = tolerance,
            attempts = attempts,
            pair = pair,
        ))],
    )
    py_test(
        name = name,
        size = "large",
        srcs = ["//perf/gate:main.py"],
        args = [
            "--rules=$(rootpath :{}.json)".format(rules),
            "--program=$(rootpath :{}_sweep)".format(name),
        ] + ["--quick_arg=" + a for a in quick_args] + ["--full_arg=" + a for a in full_args],
        data = [
            ":{}.json".format(rules),
            ":{}_sweep".format(name),
            "//perf/baselines",
        ],
        env_inherit = ["CI", "INFENG_PERF_FULL", "INFENG_PERF_STRICT"] +
                      [b.environment for b in bounds if b.environment],
        main = "//perf/gate:main.py",
        tags = _TAGS + tags,
        deps = ["//perf/gate"],
        **kwargs
    )
    py_binary(
        name = compare or "compare_" + name,
        testonly = True,
        srcs = ["//perf/gate:compare.py"],
        args = ["--rules=$(rootpath :{}.json)".format(rules)],
        data = [
            ":{}.json".format(rules),
            "//perf/baselines",
        ],
        main = "//perf/gate:compare.py",
        deps = ["//perf/gate"],
    )
    py_binary(
        name = name + "_endurance",
        testonly = True,
        srcs = ["//perf/gate:endurance.py"],
        args = [
            "--rules=$(rootpath :{}.json)".format(rules),
            "--program=$(rootpath :{}_sweep)".format(name),
        ],
        data = [
            ":{}.json".format(rules),
            ":{}_sweep".format(name),
        ],
        main = "//perf/gate:endurance.py",
        deps = ["//perf/gate"],
    )
    py_binary(
        name = "update_{}_baseline".format(name),
        testonly = True,
        srcs = ["//perf/gate:update.py"],
        args = [
            "--rules=$(rootpath :{}.json)".format(rules),
            "--program=$(rootpath :{}_sweep)".format(name),
        ],
        data = [
            ":{}.json".format(rules),
            ":{}_sweep".format(name),
        ],
        main = "//perf/gate:update.py",
        deps = ["//perf/gate"],
    )

def planted_check(name, gate, binaries, only, percent = 10):
    """A test that a gate fails when its kernel is slow.

    Args:
      name: the test's name
      gate: the perf_gate's name, in the same package
      binaries: the sweep's benchmark binaries
      only: the rows to measure, as the gate's table names them
      percent: the slowdown that is planted
    """
    _planted_binaries(
        name = name + "_binaries",
        testonly = True,
        binaries = binaries + ["//perf/peaks:bench"],
        planted_slowdown = percent,
    )
    py_test(
        name = name,
        size = "medium",
        srcs = ["//perf/gate:planted.py"],
        args = [
            "--rules=$(rootpath :{}_rules.json)".format(gate),
            "--program=$(rootpath :{}_sweep)".format(gate),
            "--binaries={}/{}_binaries".format(native.package_name(), name),
        ] + ["'--only={}'".format(row) for row in only],
        data = [
            ":{}_rules.json".format(gate),
            ":{}_sweep".format(gate),
            ":{}_binaries".format(name),
        ],
        main = "//perf/gate:planted.py",
        tags = _TAGS,
        deps = ["//perf/gate"],
    )

def perf_suite(name, gates = []):
    """A required check: the gates that CI's job of this name runs.

    Args:
      name: the check's name, e.g. "gemm-perf"
      gates: labels of perf_gate tests; while there are none, one test says so
    """
    if not gates:
        pytest_test(
            name = name + "_pending",
            size = "small",
            srcs = ["//perf/gate:pending_test.py"],
            env = {"GATE": name},
            tags = ["perf"],
        )
    native.test_suite(
        name = name,
        tests = gates or [":" + name + "_pending"],
    )
