"""Linear layers of the default model, alone and with LoRA: gemm_base.csv, gemm_lora.csv.

tools/bazel run //perf:gemm_sweep -- --out reports
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

from perf.driver.machine import read_name, yardstick
from perf.driver.pairs import Pair, Result
from perf.driver.sweep import Lab, Row, Sweep, Value, columns, main, row_name, speed
from perf.driver.tasks import BenchProgram, Clock, Task, binary

BENCH = binary("perf/sweeps/gemm/bench")
GROUP = 32

COLUMNS = columns(
    "op,path,acc_width,M,N,K,group,dtype_w,dtype_a,rank,adapters,threads,gops,tokens_per_s,"
    "base_tokens_per_s,lora_tax_pct,gb_per_s,pct_peak,reps,cv_pct"
)
KEYS = columns("op,path,M,N,K,group,dtype_w,dtype_a,rank,adapters,threads")


@dataclass(frozen=True)
class Shape:
    """A benchmark of perf/sweeps/gemm/bench.cc."""

    op: str  # int8, f32 or lora
    m: int
    n: int
    k: int
    digits: int = 1
    rank: int = 0
    adapters: int = 0

    @property
    def table(self) -> str:
        return "gemm_lora" if self.rank else "gemm_base"

    @property
    def benchmark(self) -> str:
        shape = f"rows:{self.m}/n:{self.n}/k:{self.k}"
        if self.op == "lora":
            return f"LoraInt8/{shape}/rank:{self.rank}/adapters:{self.adapters}"
        if self.op == "int8":
            return f"Int8/{shape}/digits:{self.digits}/group:{GROUP}"
        return f"F32/{shape}"

    @property
    def weight_bytes(self) -> int:
        if self.op == "f32":
            return self.n * self.k * 4
        return self.n * self.k + self.n * self.k // GROUP * 2

    @property
    def operations(self) -> int:
        return 2 * self.m * (self.n * self.k + self.rank * (self.n + self.k))

    def key(self, path: str, threads: int) -> dict[str, Value]:
        return {
            "op": self.op,
            "path": path,
            "M": self.m,
            "N": self.n,
            "K": self.k,
            "group": 0 if self.op == "f32" else GROUP,
            "dtype_w": "f32" if self.op == "f32" else "int8",
            "dtype_a": "f32" if self.op == "f32" else "int8" if self.digits == 1 else "int8x2",
            "rank": self.rank,
            "adapters": self.adapters,
            "threads": threads,
        }


# Weights that fit the L2: what shares the L3 and the memory with us disturbs these least.
QUICK = (
    Shape("int8", 1, 576, 576),
    Shape("int8", 16, 576, 576),
    Shape("int8", 128, 576, 576),
    Shape("f32", 16, 192, 576),
    Shape("lora", 16, 576, 576, rank=16, adapters=4),
)
FULL = (
    *(
        Shape("int8", m, n, k)
        for m in (1, 4, 16, 128)
        for n, k in ((576, 576), (1536, 576), (576, 1536))
    ),
    *(Shape("int8", m, 576, 576, digits=2) for m in (1, 4, 16, 128)),
    *(Shape("int8", m, 49152, 576, digits=2) for m in (1, 4)),
    *(Shape("f32", m, n, k) for m in (1, 4, 16, 128) for n, k in ((576, 576), (1536, 576))),
    *(
        Shape("lora", m, 576, 576, rank=rank, adapters=adapters)
        for m in (1, 4, 16, 128)
        for rank in (8, 16, 64)
        for adapters in (1, 4)
        if adapters <= m
    ),
)


def rows(lab: Lab, options: argparse.Namespace) -> Iterable[Row]:
    for path in lab.tiers(options.force_path):
        yield from _of_tier(lab, path, options.threads)


def _of_tier(lab: Lab, path: str, threads: int) -> Iterable[Row]:
    peaks = yardstick(path, threads)
    clock: Clock = "cpu" if threads == 1 else "real"
    shapes = [
        s
        for s in (QUICK if lab.quick else FULL)
        if lab.wants(row_name(SWEEP, s.table, s.key(path, threads)))
    ]

    # What rows are compared with besides yardsticks.
    plain = [
        replace(s, op=op, digits=1, rank=0, adapters=0) for s in shapes for op in ("int8", "f32")
    ]
    cases = ",".join(sorted({s.benchmark for s in (*shapes, *plain)}))
    bench = BenchProgram(
        BENCH, (f"--force_path={path}", f"--threads={threads}", f"--cases={cases}")
    )

    def task(shape: Shape, work: str) -> Task:
        return Task(bench, shape.benchmark, clock, work)

    pairs: list[Pair] = []
    names: list[tuple[Shape, str]] = []

    def add(shape: Shape, name: str, ours: Task, reference: Task) -> None:
        names.append((shape, name))
        pairs.append(Pair(f"{shape.benchmark} against {name}", ours, reference, threads))

    for shape in shapes:
        # The roof that binds: few rows read weights, many rows multiply.
        if shape.m <= 4:
            roof = Task(peaks, read_name(shape.weight_bytes / threads), clock, "bytes")
            add(shape, "yardstick", task(shape, "weight_bytes"), roof)
        else:
            peak = "F32Fma" if shape.op == "f32" else "Int8Mac"
            add(shape, "yardstick", task(shape, "ops"), Task(peaks, peak, clock, "ops"))
        if shape.op == "lora":
            base = Shape("int8", shape.m, shape.n, shape.k)
            add(shape, "base", task(shape, "rows"), task(base, "rows"))
        elif shape.op == "int8" and shape.n <= 1536:
            f32 = Shape("f32", shape.m, shape.n, shape.k)
            add(shape, "f32", task(shape, "rows"), task(f32, "rows"))
    results = dict(zip(names, lab.measure(pairs)))
    for shape in shapes:
        yield _row(shape, path, threads, {n: r for (s, n), r in results.items() if s == shape})


def _row(shape: Shape, path: str, threads: int, results: dict[str, Result]) -> Row:
    against_roof = results["yardstick"]
    measured = speed(against_roof)
    work = against_roof.counts["weight_bytes" if shape.m <= 4 else "ops"]
    seconds = measured["seconds"] * work  # of one call
    tokens_per_s = shape.m / seconds
    row = Row(shape.table, shape.key(path, threads))
    base, tax = tokens_per_s, 0.0
    for name, result in results.items():
        estimate = row.compare(name, result)
        if name == "base":
            base = tokens_per_s / estimate.ratio
            tax = 100 * (1 - estimate.ratio)
    row.values |= {
        "acc_width": 32,
        "gops": shape.operations / seconds / 1e9,
        "tokens_per_s": tokens_per_s,
        "base_tokens_per_s": base,
        "lora_tax_pct": tax,
        "gb_per_s": shape.weight_bytes / seconds / 1e9,
        "pct_peak": 100 * row.comparisons["yardstick"][1].ratio,
        "reps": int(measured["reps"]),
        "cv_pct": measured["cv_pct"],
    }
    return row


SWEEP = Sweep(
    name="gemm",
    title="Linear layers of the default model, alone and with LoRA.",
    tables={"gemm_base": COLUMNS, "gemm_lora": COLUMNS},
    keys={"gemm_base": KEYS, "gemm_lora": KEYS},
    units={
        "gops": "10^9 operations/s",
        "tokens_per_s": "rows/s through one layer",
        "base_tokens_per_s": "rows/s through the layer without adapters",
        "lora_tax_pct": "% of base_tokens_per_s",
        "gb_per_s": "10^9 bytes of weights/s",
        "pct_peak": "% of the roof that binds",
    },
    run=rows,
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
