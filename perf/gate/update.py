"""Measures a sweep and makes it the baseline of this hardware.

tools/bazel run //perf:update_NAME_baseline -- --reason "why it changed"
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from infeng.errors import InfengError, one_line
from perf.gate import baseline as store
from perf.gate.gate import described_build, run_sweep


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--reason", required=True, help="why the baseline changes; kept in it")
    parser.add_argument("sweep_args", nargs="*", help="after --: flags of the sweep")
    args = parser.parse_args()
    workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if not workspace:
        sys.exit("update: run me with `bazel run`: the baseline goes into the checkout")
    program = Path(os.path.abspath(args.program))
    with tempfile.TemporaryDirectory() as folder:
        try:
            # Before minutes are spent.
            if problems := store.build_refusals(described_build(program)):
                raise store.BaselineError(f"refused: {'; '.join(problems)}")
            summary = run_sweep(program, args.sweep_args, Path(folder), args.sweep)([])
            path = Path(workspace, "perf/baselines", summary.hardware_key, f"{args.sweep}.json")
            store.write(summary, path, args.reason)
        except InfengError as e:
            print(f"update_{args.sweep}_baseline: {one_line(e)}", file=sys.stderr)
            return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
