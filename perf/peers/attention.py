"""infeng's attention beside torch's scaled_dot_product_attention, one thread, decode and prefill.

    tools/bazel run //perf/peers:attention -- [--epochs=8] [--only=TEXT] [--out=reports]

A row is one step of attention over caches with data in them: of decode, one query per head; of prefill, the
last 128 rows of the context. Torch has its tensors ready in the layout it likes; ours also rotates, quantises
and stores what the step brings. Of torch's variants (float32 and bfloat16; grouped heads as they are, or keys
and values repeated beforehand, so that its fused kernels apply) the fastest counts. Both go through as many
layers with memory of their own. Writes attention.csv and prints the table."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infeng.cli.console import print_table
from infeng.errors import InfengError, one_line
from perf.driver.cores import Watch
from perf.driver.pairs import Pair, Plan, measure
from perf.driver.tasks import BenchProgram, PythonProgram, Task, binary
from perf.peers import environment
from perf.peers.rows import write

# Heads of queries, of keys, and their dimension: of the default model, of Llama 8B.
CONTEXTS = {(9, 3, 64): (512, 2048, 8192), (32, 8, 128): (512, 2048)}
ROWS = {"Decode": 1, "Prefill": 128}
OURS = ("int8", "f16")
COLUMNS = (
    "op",
    "ctx",
    "heads_q",
    "heads_kv",
    "head_dim",
    "kv_dtype",
    "torch",
    "ratio",
    "low",
    "high",
)


@dataclass(frozen=True)
class Shape:
    """A step. op: Decode or Prefill; heads of dimension dim."""

    op: str
    ctx: int
    heads_q: int
    heads_kv: int
    dim: int

    def benchmark(self, dtype: str) -> str:
        """Of ours, in perf/attention."""
        heads = f"q:{self.heads_q}/kv:{self.heads_kv}/dim:{self.dim}"
        return f"{self.op}_{dtype}/ctx:{self.ctx}/{heads}/layers:0"

    def __str__(self) -> str:
        return f"{self.op} ctx={self.ctx} heads={self.heads_q}/{self.heads_kv}x{self.dim}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8, metavar="N")
    parser.add_argument("--only", default="", metavar="TEXT", help="shapes whose name holds it")
    parser.add_argument("--out", type=Path, default=Path("reports"), metavar="FOLDER")
    args = parser.parse_args()
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    try:
        environment.use("matmul")
        rows = [
            row
            for shape in shapes()
            if args.only in str(shape)
            for row in beside(shape, args.epochs)
        ]
        if not rows:
            raise InfengError(f"--only={args.only}: no shape of this name")
        write(args.out / "attention.csv", COLUMNS, rows)
    except InfengError as e:
        print(f"attention: {one_line(e)}", file=sys.stderr)
        return 1
    print_table(COLUMNS, rows)
    return 0


def shapes() -> Iterator[Shape]:
    for op in ROWS:
        for heads, contexts in CONTEXTS.items():
            for ctx in contexts:
                yield Shape(op, ctx, *heads)


def beside(shape: Shape, epochs: int) -> Iterator[tuple[str, ...]]:
    """Ours by cache against the fastest of torch's. Raises InfengError."""
    bench = BenchProgram(binary(f"perf/attention/bench_attn_{shape.op.lower()}"))
    session = bench.start(())
    counts = session.slice(shape.benchmark("f16"), 1).counts
    session.close()
    theirs = PythonProgram(lambda: torch_steps(shape, int(counts["layers"])))
    names = variants()
    plan = Plan(blocks=2, min_epochs=epochs, max_epochs=epochs)
    pairs = [
        Pair(
            f"{shape} {dtype} against torch {name}",
            Task(bench, shape.benchmark(dtype)),
            Task(theirs, name),
        )
        for dtype in OURS
        for name in names
    ]
    print(shape, file=sys.stderr)
    results = measure(pairs, plan, Watch(), lambda _: None)
    for i, dtype in enumerate(OURS):
        estimates = [r.estimate() for r in results[i * len(names) : (i + 1) * len(names)]]
        best, name = min(zip(estimates, names, strict=True), key=lambda e: e[0].log_ratio)
        key = (shape.op.lower(), shape.ctx, shape.heads_q, shape.heads_kv, shape.dim, dtype, name)
        ratios = (best.log_ratio, best.low, best.high)
        yield (*map(str, key), *(f"{math.exp(x):.2f}" for x in ratios))


def variants() -> list[str]:
    return [
        f"{dtype} {heads}" for dtype in ("float32", "bfloat16") for heads in ("grouped", "repeated")
    ]


def torch_steps(shape: Shape, layers: int) -> Mapping[str, Callable[[], object]]:
    """A step by each variant."""
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    group = shape.heads_q // shape.heads_kv
    rows = ROWS[shape.op]
    visible = torch.ones(rows, shape.ctx, dtype=torch.bool).tril(shape.ctx - rows)

    def steps(name: str) -> Callable[[], object]:
        kind, heads = name.split()
        dtype = getattr(torch, kind)
        count = shape.heads_q if heads == "repeated" else shape.heads_kv
        made: list[tuple[Any, Any]] = []
        q = torch.randn(1, shape.heads_q, rows, shape.dim).to(dtype)
        # An additive mask of the queries' type is what its fused kernel takes.
        mask: Any = None
        if rows > 1:
            mask = torch.zeros(rows, shape.ctx, dtype=dtype).masked_fill(~visible, float("-inf"))

        def step() -> None:
            if not made:  # at the first call, so that only variants that run take memory
                for _ in range(layers):
                    k, v = (
                        torch.randn(1, shape.heads_kv, shape.ctx, shape.dim).to(dtype) for _ in "kv"
                    )
                    if heads == "repeated":
                        k, v = (x.repeat_interleave(group, 1) for x in (k, v))
                    made.append((k, v))
            for k, v in made:
                torch.nn.functional.scaled_dot_product_attention(
                    q, k, v, attn_mask=mask, enable_gqa=count != shape.heads_q
                )

        return step

    return {name: steps(name) for name in variants()}


if __name__ == "__main__":
    sys.exit(main())
