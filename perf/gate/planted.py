"""Shows that a gate sees a slow kernel: the test of a gate (gate.bzl's planted_check).

The benchmarks are built twice, once with a slowdown planted. The plain ones give the baseline, here
and now, so this holds on any hardware; the planted ones must then fail, and by name."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from infeng.errors import InfengError, one_line
from perf.gate import baseline as store
from perf.gate.gate import read_rules, run_sweep, settle
from perf.gate.table import closing, conditions, overall, table
from perf.gate.verdict import Outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the planted ones")
    parser.add_argument("--only", action="append", required=True, help="table key=value ...")
    args = parser.parse_args()
    rules = replace(read_rules(args.rules), bounds=())
    # Ten percent are seen in less time than a gate's three.
    rows = ["--quick", "--budget_s=5", *(f"--only={name}" for name in args.only)]
    folder = Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR") or tempfile.mkdtemp())
    try:
        program = Path(os.path.abspath(args.program))
        plain = run_sweep(program, rows, folder / "plain", rules.sweep)
        store.write_candidate(plain([]), folder)
        slow = {"INFENG_PERF_BINARIES": os.path.abspath(args.binaries)}
        planted = run_sweep(program, rows, folder / "planted", rules.sweep, slow)
        verdicts, first = settle(rules, planted, [folder / "baselines"], every_row=True)
    except InfengError as e:
        print(f"{rules.name}: {one_line(e)}")
        return 1
    percent = first.meta["build"]["planted_slowdown_pct"]
    print(conditions(first.meta))
    print(table(verdicts))
    print(f"{rules.name} with {percent} % planted: {closing(verdicts)}")
    if not percent:
        print("nothing is planted: the build setting did not reach the benchmark")
        return 1
    outcome = overall(verdicts)
    if outcome is Outcome.INCONCLUSIVE:
        print("SKIPPED: this machine is too noisy now to show anything")
    return int(outcome not in (Outcome.FAIL, Outcome.INCONCLUSIVE))


if __name__ == "__main__":
    sys.exit(main())
