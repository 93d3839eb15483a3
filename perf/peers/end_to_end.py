"""infeng beside llama.cpp: the default model, one thread, prefill and decode at two depths.

    tools/bazel run //perf/peers:end_to_end -- [--rounds=3] [--out=reports]

Ours and every row of llama.cpp's take turns on one core, a round at a time; a ratio is the median over the
rounds of ours divided by the best of theirs in the same round. Writes end_to_end.csv and prints the table."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from infeng import bench
from infeng.cli.console import print_table
from infeng.errors import InfengError, one_line
from infeng.llm import LLM
from infeng.models import default_gguf
from perf.peers import llama_cpp
from perf.peers.rows import write

PROMPT, WRITTEN = 512, 32
DEPTHS = (128, 2048)
TESTS = (f"prefill {PROMPT}", *(f"decode at {d}" for d in DEPTHS))
# Their types, and what of ours each is measured against; None is the file as it is shipped.
THEIRS = {"Q4_1": None, "Q4_0": "Q4_0", "Q8_0": "Q8_0", "F16": "F16"}
OURS = ("int8", "int4")
Rates = dict[tuple[str, str], list[float]]  # (row, test) to tokens per second by round


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("reports"), metavar="FOLDER")
    args = parser.parse_args()
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    try:
        rates = measure(args.rounds)
        rows = table(rates)
        write(args.out / "end_to_end.csv", ("row", "test", "round", "tokens_per_s"), figures(rates))
    except InfengError as e:
        print(f"end_to_end: {one_line(e)}", file=sys.stderr)
        return 1
    print_table(("row", *TESTS), rows)
    return 0


def measure(rounds: int) -> Rates:
    """All rows, in turns. Raises InfengError."""
    gguf = default_gguf()
    files = {k: llama_cpp.quantised(gguf, q) if q else gguf for k, q in THEIRS.items()}
    llama_cpp.tool("llama-bench")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rates: Rates = defaultdict(list)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name, file in files.items():
            for flash in (0, 1):
                row = f"llama.cpp {name}" + (" flash" if flash else "")
                for test, rate in zip(TESTS, _theirs(file, flash), strict=True):
                    rates[row, test].append(rate)
        for dtype in OURS:
            with LLM(threads=1, dtype=dtype) as llm:
                bench.prefill(llm, 64)  # warm
                rates[f"infeng {dtype}", TESTS[0]].append(bench.prefill(llm, PROMPT))
                for depth, test in zip(DEPTHS, TESTS[1:], strict=True):
                    rates[f"infeng {dtype}", test].append(bench.decode(llm, WRITTEN, depth))
    return rates


def _theirs(file: Path, flash: int) -> list[float]:
    (prefill,) = llama_cpp.bench(file, t=1, p=PROMPT, n=0, r=1, fa=flash)
    depths = ",".join(map(str, DEPTHS))
    decode = llama_cpp.bench(file, t=1, p=0, n=WRITTEN, d=depths, r=1, fa=flash)
    by_depth = {row["n_depth"]: row["avg_ts"] for row in decode}
    return [prefill["avg_ts"], *(by_depth[d] for d in DEPTHS)]


def table(rates: Rates) -> list[list[str]]:
    """Medians by row, then what ours are of theirs."""
    rows = [
        [row, *(f"{statistics.median(rates[row, test]):.1f}" for test in TESTS)]
        for row in dict.fromkeys(row for row, _ in rates)
    ]
    for ours, theirs in (
        ("infeng int8", "llama.cpp"),
        ("infeng int8", "llama.cpp Q8_0"),
        ("infeng int4", "llama.cpp Q4_0"),
        ("infeng int4", "llama.cpp Q4_1"),
    ):
        line = [f"{ours} / best of {theirs}"]
        for test in TESTS:
            peers = [v for (r, t), v in rates.items() if t == test and r.startswith(theirs)]
            best = [max(turn) for turn in zip(*peers, strict=True)]
            ratios = [a / b for a, b in zip(rates[ours, test], best, strict=True)]
            line.append(f"{statistics.median(ratios):.2f}x")
        rows.append(line)
    return rows


def figures(rates: Rates) -> Iterator[tuple[object, ...]]:
    """Every one, in tokens per second."""
    for (row, test), values in rates.items():
        for i, value in enumerate(values):
            yield row, test, i + 1, f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
