"""What the attention sweeps share: shapes, flags, the rows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from perf.driver.machine import read_name, yardstick
from perf.driver.pairs import Pair, Result
from perf.driver.sweep import Lab, Row, Sweep, Value, row_name, speed
from perf.driver.tasks import BenchProgram, Clock, Task

_HERE = Path(__file__).parent
KEYS = ("path", "ctx", "heads_q", "heads_kv", "head_dim", "kv_dtype", "threads")
TILES = (0, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Shape:
    """A benchmark of perf/attention."""

    kv_dtype: str
    ctx: int
    heads_q: int = 9
    heads_kv: int = 3
    head_dim: int = 64

    def benchmark(self, prefix: str, dtype: str | None = None) -> str:
        heads = f"q:{self.heads_q}/kv:{self.heads_kv}/dim:{self.head_dim}"
        return f"{prefix}_{dtype or self.kv_dtype}/ctx:{self.ctx}/{heads}/layers:0"

    def key(self, path: str, threads: int) -> dict[str, Value]:
        return {
            "path": path,
            "ctx": self.ctx,
            "heads_q": self.heads_q,
            "heads_kv": self.heads_kv,
            "head_dim": self.head_dim,
            "kv_dtype": self.kv_dtype,
            "threads": threads,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--tile_tokens."""
    parser.add_argument(
        "--tile_tokens",
        "--tile-tokens",
        type=int,
        default=0,
        choices=TILES,
        help="keys that all queries meet before the next; 0: the kernel's own choice",
    )


def perplexity_delta(dtype: str) -> float:
    """Of the default model on real text, against a binary16 cache, in percentage points."""
    ppl = json.loads((_HERE / "perplexity.json").read_text())["ppl"]
    return 100.0 * (ppl[dtype] / ppl["f16"] - 1.0)


def measure(
    lab: Lab,
    options: argparse.Namespace,
    sweep: Sweep,
    table: str,
    prefix: str,
    roof: str,
    shapes: Iterable[Shape],
) -> Iterable[tuple[Row, dict[str, float]]]:
    """Rows with what both tables have, and the benchmark's counts and "seconds" of a step.

    Each int8 and int4 row is measured beside its binary16 baseline.
    prefix: of the benchmarks' names. roof: the yardstick, F32Fma or Read."""
    threads = options.threads
    bench = _HERE / f"bench_{table}"
    for path in lab.tiers(options.force_path):
        flags = [f"--force_path={path}", f"--threads={threads}"]
        if options.tile_tokens:
            flags.append(f"--tile_tokens={options.tile_tokens}")
        program = BenchProgram(bench, tuple(flags))
        peaks = yardstick(path, threads)
        clock: Clock = "cpu" if threads == 1 else "real"
        wanted = [s for s in shapes if lab.wants(row_name(sweep, table, s.key(path, threads)))]
        counts = _counts(
            program, [s.benchmark(prefix, d) for s in wanted for d in {"f16", s.kv_dtype}]
        )
        names: list[tuple[Shape, str]] = []
        pairs: list[Pair] = []
        for shape in wanted:
            name = shape.benchmark(prefix)
            if roof == "F32Fma":
                ours, peak = Task(program, name, clock, "ops"), Task(peaks, roof, clock, "ops")
            else:
                ours = Task(program, name, clock, "kv_bytes")
                size = counts[name]["kv_bytes"] / threads
                peak = Task(peaks, read_name(size), clock, "bytes")
            names.append((shape, "yardstick"))
            pairs.append(Pair(f"{name} against {peak.name}", ours, peak, threads))
            if shape.kv_dtype != "f16":
                ours = Task(program, name, clock, "tokens")
                f16 = Task(program, shape.benchmark(prefix, "f16"), clock, "tokens")
                names.append((shape, "f16"))
                pairs.append(Pair(f"{name} against f16", ours, f16, threads))
        results = dict(zip(names, lab.measure(pairs)))
        for shape in wanted:
            mine = {n: r for (s, n), r in results.items() if s == shape}
            yield _row(shape, table, prefix, path, threads, mine, counts)


def _counts(program: BenchProgram, names: Iterable[str]) -> dict[str, dict[str, float]]:
    session = program.start(())
    try:
        return {name: session.slice(name, 1).counts for name in dict.fromkeys(names)}
    finally:
        session.close()


def _row(
    shape: Shape,
    table: str,
    prefix: str,
    path: str,
    threads: int,
    results: dict[str, Result],
    counts: dict[str, dict[str, float]],
) -> tuple[Row, dict[str, float]]:
    row = Row(table, shape.key(path, threads))
    ours = counts[shape.benchmark(prefix)]
    f16 = counts[shape.benchmark(prefix, "f16")]
    for name, result in results.items():
        row.compare(name, result)
    measured = speed(results["yardstick"])
    work = ours["ops" if "F32Fma" in results["yardstick"].pair.reference.name else "kv_bytes"]
    seconds = measured["seconds"] * work
    speedup = row.comparisons["f16"][1].ratio if "f16" in row.comparisons else 1.0
    row.values |= {
        "tokens_per_s": ours["tokens"] / seconds,
        "baseline_tokens_per_s": ours["tokens"] / seconds / speedup,
        "speedup": speedup,
        "perplexity_delta": perplexity_delta(shape.kv_dtype),
        "l2_diff": ours["l2_diff"],
        "l2_rel": ours["l2_rel"],
        "scratch_ratio": ours["scratch_bytes"] / f16["scratch_bytes"],
        "tile_tokens": int(ours["tile_tokens"]),
        "reps": int(measured["reps"]),
        "cv_pct": measured["cv_pct"],
    }
    return row, {**ours, "seconds": seconds}
