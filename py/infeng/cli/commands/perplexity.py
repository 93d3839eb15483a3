"""infeng perplexity: how well a model foresees a text."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from infeng.cli.console import print_json, progress
from infeng.cli.options import add_model_options, load
from infeng.errors import InputError, UsageError
from infeng.files import read_bytes
from infeng.perplexity import perplexity

_MAX_TEXT = 1 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", type=Path, required=True, metavar="FILE", help="UTF-8 text")
    parser.add_argument(
        "--window", type=int, default=512, metavar="N", help="tokens per window; default: 512"
    )
    add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a line")


def run(args: argparse.Namespace) -> int:
    if args.window < 2:
        raise UsageError(f"--window {args.window}: must be at least 2")
    try:
        text = read_bytes(args.text, _MAX_TEXT).decode()
    except UnicodeDecodeError as e:
        raise InputError(f"{args.text}: not UTF-8 at byte {e.start}") from e
    with load(args) as llm:
        started = time.perf_counter()
        with progress("perplexity") as bar:
            result = perplexity(
                llm, text, args.window, lambda done, total: bar(done, total, "windows")
            )
        seconds = time.perf_counter() - started
        values = dataclasses.asdict(result) | {
            "model": str(llm.path),
            "dtype": llm.dtype,
            "tier": llm.engine.tier,
            "threads": llm.engine.threads,
            "tokens_per_s": result.windows * result.window / seconds,
        }
    if args.json:
        print_json(values)
    else:
        print(
            f"perplexity {result.ppl:.4f} ({llm.dtype}, {result.windows} windows of "
            f"{result.window} tokens, {result.scored} scored, "
            f"{values['tokens_per_s']:.0f} tokens/s)"
        )
    return 0
