"""Linear layers of real models, alone and with LoRA: gemm_base.csv, gemm_lora.csv.

tools/bazel run //perf:gemm_sweep -- --out reports [--models=135m,1b,3b,8b]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from infeng.errors import UsageError
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
LORA_COLUMNS = columns(",".join(COLUMNS).replace("lora_tax_pct", "lora_tax_pct,lora_bound_pct"))
KEYS = columns("op,path,M,N,K,group,dtype_w,dtype_a,rank,adapters,threads")


@dataclass(frozen=True)
class Shape:
    """A benchmark of perf/sweeps/gemm/bench.cc."""

    op: str  # int8, int4, f32 or lora
    m: int
    n: int
    k: int
    digits: int = 1
    rank: int = 0
    adapters: int = 0
    weights: str = "int8"  # of lora: int8 or int4

    @property
    def table(self) -> str:
        return "gemm_lora" if self.rank else "gemm_base"

    @property
    def benchmark(self) -> str:
        shape = f"rows:{self.m}/n:{self.n}/k:{self.k}"
        if self.op == "lora":
            kind = f"Lora{self.weights.capitalize()}"
            return f"{kind}/{shape}/rank:{self.rank}/adapters:{self.adapters}"
        if self.op == "f32":
            return f"F32/{shape}"
        return f"{self.op.capitalize()}/{shape}/digits:{self.digits}/group:{GROUP}"

    @property
    def dtype(self) -> str:
        return self.weights if self.op == "lora" else self.op

    @property
    def base(self) -> Shape:
        """The same without adapters, with one digit."""
        return Shape(self.dtype, self.m, self.n, self.k)

    @property
    def weight_bytes(self) -> int:
        values = self.n * self.k
        if self.dtype == "f32":
            return values * 4
        # int4 has a scale and a minimum per group, int8 a scale; each has two bytes.
        return values + values // GROUP * 2 if self.dtype == "int8" else values // 2 + values // 8

    @property
    def adapter_bytes(self) -> int:
        """Of all adapters that rows use, in binary16; A's rank is padded to 8."""
        used = min(self.adapters, self.m)
        return 2 * used * ((self.rank + 7) // 8 * 8 * self.k + self.rank * self.n)

    @property
    def adapter_operations(self) -> int:
        return 2 * self.m * self.rank * (self.n + self.k)

    @property
    def operations(self) -> int:
        return 2 * self.m * self.n * self.k + self.adapter_operations

    def key(self, path: str, threads: int) -> dict[str, Value]:
        return {
            "op": self.op,
            "path": path,
            "M": self.m,
            "N": self.n,
            "K": self.k,
            "group": 0 if self.op == "f32" else GROUP,
            "dtype_w": self.dtype,
            "dtype_a": "f32" if self.op == "f32" else "int8" if self.digits == 1 else "int8x2",
            "rank": self.rank,
            "adapters": self.adapters,
            "threads": threads,
        }


# (N, K) of the layers, and the rows that are worth their time.
MODELS = {
    "135m": (((576, 576), (1536, 576), (576, 1536)), (1, 4, 16, 128)),
    "1b": (((2048, 2048), (8192, 2048), (2048, 8192)), (1, 16, 64)),
    "3b": (((3072, 3072), (8192, 3072), (3072, 8192)), (1, 16)),
    "8b": (((4096, 4096), (14336, 4096), (4096, 14336)), (1, 16)),
}
# Weights that fit the L2: what shares the L3 and the memory with us disturbs these least.
QUICK = (
    Shape("int8", 1, 576, 576),
    Shape("int8", 16, 576, 576),
    Shape("int8", 128, 576, 576),
    Shape("int4", 1, 576, 576),
    Shape("f32", 16, 192, 576),
    Shape("lora", 16, 576, 576, rank=16, adapters=4),
)


def _shapes(model: str) -> Iterable[Shape]:
    layers, rows = MODELS[model]
    yield from (Shape(op, m, n, k) for op in ("int8", "int4") for m in rows for n, k in layers)
    if model == "135m":
        yield from (Shape("int8", m, 576, 576, digits=2) for m in rows)
        yield from (Shape("int8", m, 49152, 576, digits=2) for m in (1, 4))
        yield from (Shape("f32", m, n, k) for m in rows for n, k in layers[:2])
    n, k = layers[0]
    yield from (
        Shape("lora", m, n, k, rank=rank, adapters=adapters, weights=weights)
        for weights in ("int8", "int4")
        for m in rows
        for rank in (8, 16, 64)
        for adapters in (1, 2, 4, 8, 16)
        if adapters <= m
    )


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        default="135m",
        metavar="MODEL[,...]",
        help=f"whose layers are measured, without --quick: {', '.join(MODELS)} (135m)",
    )


def rows(lab: Lab, options: argparse.Namespace) -> Iterable[Row]:
    models = options.models.split(",")
    for model in models:
        if model not in MODELS:
            raise UsageError(
                f"--models: no model is called '{model}'; there are {', '.join(MODELS)}"
            )
    shapes = QUICK if lab.quick else [shape for model in models for shape in _shapes(model)]
    for path in lab.tiers(options.force_path):
        yield from _of_tier(lab, path, options.threads, shapes)


def _of_tier(lab: Lab, path: str, threads: int, candidates: Sequence[Shape]) -> Iterable[Row]:
    peaks = yardstick(path, threads)
    clock: Clock = "cpu" if threads == 1 else "real"
    shapes = [s for s in candidates if lab.wants(row_name(SWEEP, s.table, s.key(path, threads)))]

    # What rows are compared with besides yardsticks.
    plain = [
        Shape(op, s.m, s.n, s.k)
        for s in shapes
        for op in ("int8", "int4", "f32")
        if op != "f32" or s.n <= 1536
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
            add(shape, "base", task(shape, "rows"), task(shape.base, "rows"))
        elif shape.op == "int4":
            int8 = replace(shape, op="int8")
            add(shape, "int8", task(shape, "rows"), task(int8, "rows"))
        elif shape.op == "int8" and shape.n <= 1536:
            f32 = Shape("f32", shape.m, shape.n, shape.k)
            add(shape, "f32", task(shape, "rows"), task(f32, "rows"))
    results = dict(zip(names, lab.measure(pairs)))
    for shape in shapes:
        of_shape = {n: r for (s, n), r in results.items() if s == shape}
        yield _row(lab, shape, path, threads, of_shape)


def _bound_pct(lab: Lab, shape: Shape, path: str, threads: int, base_s: float) -> float:
    """The tax that the adapters' bytes and multiply-adds imply, if they were done at the machine's
    peaks after the base as it was measured; base_s: its seconds. Bytes count where base and
    adapters exceed the last-level cache together."""
    seconds = shape.adapter_operations / (lab.peaks.f32_gflops[path] * threads * 1e9)
    last_level = max(lab.hardware["l2_bytes"], lab.hardware["l3_bytes"])
    if shape.weight_bytes + shape.adapter_bytes > last_level:
        rate = lab.peaks.read_gb_per_s.get(str(threads), lab.peaks.read_gb_per_s["1"])
        seconds = max(seconds, shape.adapter_bytes / (rate * 1e9))
    return 100 * seconds / (base_s + seconds)


def _row(lab: Lab, shape: Shape, path: str, threads: int, results: dict[str, Result]) -> Row:
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
        **(
            {"lora_bound_pct": _bound_pct(lab, shape, path, threads, shape.m / base)}
            if shape.rank
            else {}
        ),
        "gb_per_s": shape.weight_bytes / seconds / 1e9,
        "pct_peak": 100 * row.comparisons["yardstick"][1].ratio,
        "reps": int(measured["reps"]),
        "cv_pct": measured["cv_pct"],
    }
    return row


SWEEP = Sweep(
    name="gemm",
    title="Linear layers of real models, alone and with LoRA.",
    tables={"gemm_base": COLUMNS, "gemm_lora": LORA_COLUMNS},
    keys={"gemm_base": KEYS, "gemm_lora": KEYS},
    units={
        "gops": "10^9 operations/s",
        "tokens_per_s": "rows/s through one layer",
        "base_tokens_per_s": "rows/s through the layer without adapters",
        "lora_tax_pct": "% of base_tokens_per_s",
        "lora_bound_pct": "% of base_tokens_per_s that the adapters' bytes and operations imply",
        "gb_per_s": "10^9 bytes of weights/s",
        "pct_peak": "% of the roof that binds",
    },
    run=rows,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
