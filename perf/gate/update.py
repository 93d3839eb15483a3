"""Measures a sweep and makes it the baseline of this hardware.

tools/bazel run //perf:update_NAME_baseline -- --reason "why it changed"
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infeng.errors import InfengError, one_line
from perf.gate import baseline as store
from perf.gate.gate import Rules, described_build, read_rules, run_sweep
from perf.gate.summary import Summary


def _measured(rules: Rules, program: Path, arguments: Sequence[str], folder: Path) -> Summary:
    """A run of the sweep; rows that were noisy are measured again, as often as the gate would."""
    measure = run_sweep(program, arguments, folder, rules.sweep)
    summary = measure([])
    for attempt in range(2, rules.attempts + 1):
        noisy = store.noisy_rows(summary, rules.comparison, rules.spread_limit)
        if not noisy:
            break
        print(f"run {attempt} of at most {rules.attempts}, for {len(noisy)} noisy rows")
        again = measure([row.name for row in noisy])
        summary = store.merged(summary, again, folder / f"merged{attempt}.json")
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--reason", required=True, help="why the baseline changes; kept in it")
    parser.add_argument("sweep_args", nargs="*", help="after --: flags of the sweep")
    args = parser.parse_args()
    workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if not workspace:
        sys.exit("update: run me with `bazel run`: the baseline goes into the checkout")
    rules = read_rules(args.rules)
    program = Path(os.path.abspath(args.program))
    with tempfile.TemporaryDirectory() as folder:
        try:
            # Before minutes are spent.
            if problems := store.build_refusals(described_build(program)):
                raise store.BaselineError(f"refused: {'; '.join(problems)}")
            summary = _measured(rules, program, args.sweep_args, Path(folder))
            path = Path(workspace, "perf/baselines", summary.hardware_key, f"{rules.sweep}.json")
            store.write(summary, path, args.reason, rules.comparison, rules.spread_limit)
        except InfengError as e:
            print(f"update_{rules.name}_baseline: {one_line(e)}", file=sys.stderr)
            return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
