"""The program of a perf_gate test (gate.bzl)."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from infeng.errors import InfengError, one_line
from perf.gate import baseline as store
from perf.gate.gate import AGAIN_S, environment_flag, overridden, read_rules, run_sweep, settle
from perf.gate.table import closing, conditions, overall, table
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
    args = parser.parse_args()
    full = args.full or environment_flag("INFENG_PERF_FULL")
    strict = args.strict or environment_flag("INFENG_PERF_STRICT")
    folder = Path(
        os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR") or tempfile.mkdtemp(prefix="perf_gate")
    )
    rules = read_rules(args.rules)
    # A program below the working folder has no slash in its path that execve would see.
    program = Path(os.path.abspath(args.program))
    arguments = args.full_arg if full else ["--quick", *args.quick_arg]
    try:
        rules = overridden(rules)
        again = [] if full else [f"--budget_s={AGAIN_S:g}"]
        measure = run_sweep(program, arguments, folder, rules.sweep, again=again)
        verdicts, first = settle(rules, measure, [args.baselines], every_row=full)
        candidate = store.write_candidate(first, folder)
    except InfengError as e:
        print(f"{rules.name}: FAIL: {one_line(e)}")
        return 1
    print(conditions(first.meta))
    print(table(verdicts))
    print(f"{rules.name}: {closing(verdicts)}")
    if any("no baseline" in v.reason for v in verdicts):
        print(f"candidate baseline among the test's outputs: {candidate.relative_to(folder)}")
    outcome = overall(verdicts)
    if outcome is Outcome.INCONCLUSIVE and strict:
        print("INCONCLUSIVE counts as a failure: INFENG_PERF_STRICT is set")
    return int(outcome is Outcome.FAIL or (outcome is Outcome.INCONCLUSIVE and strict))


if __name__ == "__main__":
    sys.exit(main())
