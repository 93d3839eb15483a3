"""infeng bench: how fast this machine reads prompts and writes answers."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from infeng import bench
from infeng.cli.console import print_json, print_table
from infeng.cli.options import add_model_options, load
from infeng.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument(
        "--prompt", default="512", metavar="N[,N...]", help="tokens of a prompt; default: 512"
    )
    parser.add_argument(
        "--depth",
        default="128,2048",
        metavar="N[,N...]",
        help="tokens before the written ones; default: 128,2048",
    )
    parser.add_argument(
        "--batch", default="1", metavar="N[,N...]", help="sequences written at once; default: 1"
    )
    parser.add_argument(
        "--generate", type=int, default=64, metavar="N", help="tokens to write; default: 64"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="of each measurement; default: 3"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    prompts = _counts("--prompt", args.prompt, 1)
    depths = _counts("--depth", args.depth, 0)
    batches = _counts("--batch", args.batch, 1)
    for option in ("generate", "repeats"):
        if getattr(args, option) < 1:
            raise UsageError(f"--{option} {getattr(args, option)}: must be at least 1")
    with load(args) as llm:
        rows = [
            {"test": "prefill", "tokens": n, "depth": 0, "batch": 1}
            | _rates(partial(bench.prefill, llm, n), args.repeats)
            for n in prompts
        ]
        rows += [
            {"test": "decode", "tokens": args.generate, "depth": depth, "batch": batch}
            | _rates(partial(bench.decode, llm, args.generate, depth, batch), args.repeats)
            for batch in batches
            for depth in depths
        ]
        about = {
            "model": str(llm.path),
            "dtype": llm.dtype,
            "kv": llm.kv,
            "tier": llm.engine.tier,
            "threads": llm.engine.threads,
        }
    if args.json:
        print_json(about | {"rows": rows})
    else:
        print(", ".join(f"{k} {v}" for k, v in about.items()))
        print_table(
            ("test", "tokens", "depth", "batch", "tokens/s", "range"),
            [
                (
                    *(row[c] for c in ("test", "tokens", "depth", "batch")),
                    f"{row['tokens_per_s']:.1f}",
                    f"{row['min']:.1f}-{row['max']:.1f}",
                )
                for row in rows
            ],
        )
    return 0


def _rates(measure: Callable[[], float], repeats: int) -> dict[str, Any]:
    rates = [measure() for _ in range(repeats)]
    return {"tokens_per_s": statistics.median(rates), "min": min(rates), "max": max(rates)}


def _counts(option: str, text: str, least: int) -> list[int]:
    """The value of an option that takes several counts. Raises UsageError."""
    parts = text.split(",")
    if not all(p.isdigit() and least <= int(p) <= 1 << 20 for p in parts):
        raise UsageError(f"{option} {text}: expected numbers of at least {least}, e.g. 128,2048")
    return [int(p) for p in parts]
