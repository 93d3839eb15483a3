"""The program of a perf_gate test (gate.bzl)."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from infeng.errors import InfengError, one_line

from perf.gate import baseline as store
from perf.gate.gate import Rules, environment_flag, read_rules, run_sweep, settle
from perf.gate.table import closing, overall, table
from perf.gate.verdict import Outcome


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--baselines", type=Path, default=Path("perf/baselines"))
    parser.add_argument("--quick_arg", action="append", default=[])
    parser.add_argument("--full_arg", action="append", default=[])
    parser.add_argument("--full", action="store_true", help="the full sweep, not its short form")
    parser.add_argument("--strict", action="store_true", help="INCONCLUSIVE is a failure")
    parser.add_argument("--baseline_required", action="store_true")
    args = parser.parse_args()
    full = args.full or environment_flag("INFENG_PERF_FULL")
    strict = args.strict or environment_flag("INFENG_PERF_STRICT")
    folder = Path(
        os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR") or tempfile.mkdtemp(prefix="perf_gate")
    )
    rules = _overridden(read_rules(args.rules))
    # A program below the working folder has no slash in its path that execve would see.
    program = Path(os.path.abspath(args.program))
    arguments = args.full_arg if full else ["--quick", *args.quick_arg]
    try:
        measure = run_sweep(program, arguments, folder, rules.sweep)
        verdicts, first = settle(rules, measure, [args.baselines], every_row=full)
        candidate = store.write_candidate(first, folder)
    except InfengError as e:
        print(f"{rules.name}: FAIL: {one_line(e)}")
        return 1
    print(_conditions(first.meta))
    print(table(verdicts))
    print(f"{rules.name}: {closing(verdicts)}")
    if any("no baseline" in v.reason for v in verdicts):
        print(f"candidate baseline among the test's outputs: {candidate.relative_to(folder)}")
    outcome = overall(verdicts)
    if outcome is Outcome.INCONCLUSIVE and strict:
        print("INCONCLUSIVE counts as a failure: INFENG_PERF_STRICT is set")
    return int(outcome is Outcome.FAIL or (outcome is Outcome.INCONCLUSIVE and strict))


def _conditions(meta: dict) -> str:
    hardware, run, build = meta["hardware"], meta["run"], meta["build"]
    spread = run["aa_spread_pct"] or {"median": 0, "max": 0}
    return (
        f"{hardware['key']} ({hardware['model_name']}), {build['compiler']}, load "
        f"{run['load_average'][0]:.2f}–{run['load_average'][1]:.2f}, A/A spread "
        f"{spread['median']:.2f} % (median), {spread['max']:.2f} % (worst row), "
        f"{run['elapsed_s']:.0f} s"
    )


def _overridden(rules: Rules) -> Rules:
    """Bounds that the environment overrides, by the names that their rules give.

    An override is printed. In CI (the variable CI is set) it may only tighten a bound."""
    bounds = []
    for bound in rules.bounds:
        text = os.environ.get(bound.environment, "") if bound.environment else ""
        if not text:
            bounds.append(bound)
            continue
        try:
            value = float(text)
        except ValueError:
            sys.exit(f"{rules.name}: {bound.environment}={text}: expected a number")
        lower = bound.at_least is not None
        looser = value < bound.at_least if bound.at_least is not None else value > bound.at_most  # type: ignore[operator]
        if looser and environment_flag("CI"):
            sys.exit(
                f"{rules.name}: {bound.environment}={text} loosens the bound {bound.text()}, "
                "which CI does not allow"
            )
        print(f"{bound.environment}={text} overrides the bound {bound.text()} of {bound.name}")
        bounds.append(
            replace(bound, at_least=value) if lower else replace(bound, at_most=value)
        )
    return replace(rules, bounds=tuple(bounds))


if __name__ == "__main__":
    sys.exit(main())
