"""infeng convert: makes an INFQ file."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from infeng.cli.console import human_bytes, print_json, progress
from infeng.convert import DEFAULT_GROUP, RECIPES, Recipe, convert
from infeng.convert.report import check_report_name, write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--in",
        dest="source",
        type=Path,
        required=True,
        metavar="PATH",
        help="GGUF file or Hugging Face folder (safetensors)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--recipe", choices=RECIPES, default=RECIPES[0], help="default: int8")
    parser.add_argument(
        "--group",
        type=int,
        default=DEFAULT_GROUP,
        metavar="N",
        help=f"weights that share a scale in int8; default: {DEFAULT_GROUP}",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="error per tensor as .csv or .json"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a line")


def run(args: argparse.Namespace) -> int:
    recipe = Recipe(args.recipe, args.group)
    if args.report is not None:
        check_report_name(args.report)
    started = time.perf_counter()
    with progress(f"{args.source.name} to {args.recipe}") as report_progress:
        written = convert(
            args.source,
            args.out,
            recipe,
            measure_errors=args.report is not None,
            progress=report_progress,
        )
    if args.report is not None:
        write_report(args.report, written.errors)
    seconds = time.perf_counter() - started
    if args.json:
        values = {
            "out": str(args.out),
            "recipe": dataclasses.asdict(recipe),
            "bytes": written.bytes,
            "weights": written.weights,
            "bits_per_weight": written.bits_per_weight,
            "seconds": seconds,
        }
        print_json(values)
    else:
        print(
            f"{args.out}: {human_bytes(written.bytes)}, {written.weights:,} weights, "
            f"{written.bits_per_weight:.2f} bits per weight, {seconds:.1f} s"
        )
    return 0
