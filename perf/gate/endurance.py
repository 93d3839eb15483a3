"""Runs a gate again and again while other processes load the machine: none may FAIL.

tools/bazel run //perf:gemm_endurance -- --runs=20 --load=1
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from infeng.errors import InfengError, one_line
from perf.gate import baseline as store
from perf.gate.gate import read_rules, run_sweep, settle
from perf.gate.table import closing, overall
from perf.gate.verdict import Outcome


def _burn() -> None:
    """Multiplies matrices for ever, as a neighbour would: arithmetic and memory."""
    import numpy as np

    a = np.random.default_rng(0).normal(size=(700, 700))
    while True:
        a = a @ a / 700.0
        a /= np.abs(a).max()


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that keep a core busy each."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    processes = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--load", type=int, default=1, help="busy processes beside the gate")
    parser.add_argument("--baselines", type=Path, help="left out: measured first, without the load")
    args = parser.parse_args()
    rules = read_rules(args.rules)
    program = Path(os.path.abspath(args.program))
    counts: Counter[Outcome] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure = run_sweep(program, ["--quick"], folder, rules.sweep)
        try:
            baselines = args.baselines
            if baselines is None:
                store.write_candidate(measure([]), folder)
                baselines = folder / "baselines"
            with neighbours(args.load):
                for i in range(args.runs):
                    started = time.monotonic()
                    verdicts, first = settle(
                        rules, measure, [baselines], every_row=False, say=lambda _: None
                    )
                    counts[overall(verdicts)] += 1
                    spread = first.meta["run"]["aa_spread_pct"]
                    print(
                        f"{i + 1:3}  {time.monotonic() - started:4.0f} s  load "
                        f"{first.meta['run']['load_average'][1]:.1f}  A/A {spread['median']:.2f} % "
                        f"(worst {spread['max']:.2f} %)  {closing(verdicts)}",
                        flush=True,
                    )
        except InfengError as e:
            print(f"{rules.name}: {one_line(e)}", file=sys.stderr)
            return 1
    print(", ".join(f"{n} {o.value}" for o, n in counts.items()))
    return int(counts[Outcome.FAIL] > 0)


if __name__ == "__main__":
    sys.exit(main())
