"""Attention of a prefill step, integer KV caches against binary16: attn_prefill.csv.

tools/bazel run //perf:attn_prefill_sweep -- --out reports

A step is 128 rows at the end of a context, in all layers: rotation, quantisation, storing,
attending to all before them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from perf.attention.rows import KEYS, Shape, add_arguments, measure
from perf.driver.pairs import Plan
from perf.driver.sweep import Lab, Row, Sweep, columns, main

COLUMNS = columns(
    "path,ctx,heads_q,heads_kv,head_dim,kv_dtype,tile_tokens,threads,tokens_per_s,"
    "baseline_tokens_per_s,speedup,perplexity_delta,l2_diff,l2_rel,scratch_ratio,gflops,pct_peak,"
    "reps,cv_pct"
)
QUICK = (Shape("int8", 2048),)
FULL = (
    *(Shape(kv, ctx) for ctx in (128, 512, 2048, 8192) for kv in ("f16", "int8", "int4")),
    *(Shape(kv, ctx, 32, 8, 128) for ctx in (512, 2048) for kv in ("f16", "int8", "int4")),
)


def rows(lab: Lab, options: argparse.Namespace) -> Iterable[Row]:
    shapes = QUICK if lab.quick else FULL
    for row, counts in measure(lab, options, SWEEP, "attn_prefill", "Prefill", "F32Fma", shapes):
        row.values |= {
            "gflops": counts["ops"] / counts["seconds"] / 1e9,
            "pct_peak": 100 * row.comparisons["yardstick"][1].ratio,
        }
        yield row


SWEEP = Sweep(
    name="attn_prefill",
    title="Attention of a prefill step, by KV cache.",
    tables={"attn_prefill": COLUMNS},
    keys={"attn_prefill": KEYS},
    units={
        "tokens_per_s": "rows/s through the attention of all layers",
        "baseline_tokens_per_s": "the same with a binary16 cache",
        "perplexity_delta": "percentage points against binary16, default model, real text",
        "scratch_ratio": "memory of cache and buffers over that of binary16",
        "gflops": "10^9 multiplications and additions/s of both products",
        "pct_peak": "% of the f32 peak, also for integer caches",
    },
    run=rows,
    # A step of four layers takes some 50 ms: few of them make a block.
    quick=Plan(blocks=2, min_epochs=8, max_epochs=16, precision=0.01, budget_s=20.0),
    full=Plan(blocks=2, min_epochs=8, max_epochs=40, precision=0.005),
    add_arguments=add_arguments,
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
