"""Attention of a decode step, integer KV caches against binary16: attn_decode.csv.

tools/bazel run //perf:attn_decode_sweep -- --out reports

A token is one row's attention in all layers: rotation, quantisation, storing, attending.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from perf.attention.rows import KEYS, Shape, add_arguments, measure
from perf.driver.pairs import Plan
from perf.driver.sweep import Lab, Row, Sweep, columns, main

COLUMNS = columns(
    "path,ctx,heads_q,heads_kv,head_dim,kv_dtype,tokens_per_s,baseline_tokens_per_s,"
    "perplexity_delta,scratch_ratio,tile_tokens,acc_width,has_avx2,has_vnni,csr_outliers,"
    "l2_bytes_per_token,speedup,l2_diff,l2_rel,threads,reps,cv_pct"
)
QUICK = (Shape("int8", 2048), Shape("int8", 8192), Shape("int4", 2048))
FULL = (
    *(
        Shape(kv, ctx)
        for ctx in (512, 2048, 4096, 8192, 16384, 32768)
        for kv in ("f16", "int8", "int4")
    ),
    *(Shape(kv, ctx, 32, 8, 128) for ctx in (2048, 8192) for kv in ("f16", "int8", "int4")),
)


def rows(lab: Lab, options: argparse.Namespace) -> Iterable[Row]:
    flags = lab.hardware["flags"]
    shapes = QUICK if lab.quick else FULL
    for row, counts in measure(lab, options, SWEEP, "attn_decode", "Decode", "Read", shapes):
        row.values |= {
            "acc_width": 32,
            "has_avx2": int("avx2" in flags),
            "has_vnni": int("avx512vnni" in flags or "avx512_vnni" in flags),
            "csr_outliers": int(counts["csr_outliers"]),
            "l2_bytes_per_token": counts["l2_bytes_per_token"],
        }
        yield row


SWEEP = Sweep(
    name="attn_decode",
    title="Attention of a decode step, by KV cache.",
    tables={"attn_decode": COLUMNS},
    keys={"attn_decode": KEYS},
    units={
        "tokens_per_s": "rows/s through the attention of all layers",
        "baseline_tokens_per_s": "the same with a binary16 cache",
        "perplexity_delta": "percentage points against binary16, default model, real text",
        "scratch_ratio": "memory of cache and buffers over that of binary16",
        "l2_bytes_per_token": "bytes through the second-level cache, by the tiling",
    },
    run=rows,
    add_arguments=add_arguments,
    # A step of 8192 keys takes as long as the driver's whole slice.
    quick=Plan(blocks=4, min_epochs=10, max_epochs=30, budget_s=20.0),
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
