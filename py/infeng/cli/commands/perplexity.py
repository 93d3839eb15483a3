"""infeng perplexity: how well a model foresees a text."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

from infeng.cli.console import print_json, print_table, progress
from infeng.cli.options import add_model_options, load
from infeng.errors import InputError, UsageError
from infeng.files import read_bytes
from infeng.native import kv_page_bytes
from infeng.perplexity import perplexity

_MAX_TEXT = 1 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", type=Path, required=True, metavar="FILE", help="UTF-8 text")
    parser.add_argument(
        "--window", type=int, default=512, metavar="N", help="tokens per window; default: 512"
    )
    add_model_options(parser, several_kv=True)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a line")


def run(args: argparse.Namespace) -> int:
    if args.window < 2:
        raise UsageError(f"--window {args.window}: must be at least 2")
    try:
        text = read_bytes(args.text, _MAX_TEXT).decode()
    except UnicodeDecodeError as e:
        raise InputError(f"{args.text}: not UTF-8 at byte {e.start}") from e
    rows = [_measure(args, text, kv) for kv in args.kv or [None]]
    reference = next((row for row in rows if row["kv"] == "f16"), rows[0])
    for row in rows:
        row["delta_pp"] = 100 * (row["ppl"] / reference["ppl"] - 1)
    if args.json:
        print_json(rows[0] if len(rows) == 1 else {"reference": reference["kv"], "rows": rows})
    elif len(rows) == 1:
        print(
            f"perplexity {rows[0]['ppl']:.4f} ({rows[0]['dtype']}, KV {rows[0]['kv']}, "
            f"{rows[0]['windows']} windows of {rows[0]['window']} tokens, "
            f"{rows[0]['scored']} scored, {rows[0]['tokens_per_s']:.0f} tokens/s)"
        )
    else:
        columns = ("kv", "perplexity", f"delta to {reference['kv']}", "KV bytes", "tokens/s")
        print_table(
            columns,
            [
                (
                    row["kv"],
                    f"{row['ppl']:.4f}",
                    f"{row['delta_pp']:+.3f} pp",
                    row["kv_bytes_per_token"],
                    f"{row['tokens_per_s']:.0f}",
                )
                for row in rows
            ],
        )
    return 0


def _measure(args: argparse.Namespace, text: str, kv: str | None) -> dict[str, Any]:
    """Perplexity with one KV cache. Bytes per token are those of full pages."""
    with load(args, kv=kv) as llm:
        started = time.perf_counter()
        with progress(f"perplexity, KV {llm.kv}") as bar:
            result = perplexity(
                llm, text, args.window, lambda done, total: bar(done, total, "windows")
            )
        seconds = time.perf_counter() - started
        config = llm.config
        positions, page = kv_page_bytes(
            llm.kv, config.num_hidden_layers, config.num_key_value_heads, config.head_dim
        )
        return dataclasses.asdict(result) | {
            "model": str(llm.path),
            "dtype": llm.dtype,
            "kv": llm.kv,
            "kv_bytes_per_token": page // positions,
            "tier": llm.engine.tier,
            "threads": llm.engine.threads,
            "tokens_per_s": result.windows * result.window / seconds,
        }
