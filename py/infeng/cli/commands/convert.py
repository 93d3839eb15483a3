"""infeng convert: makes an INFQ file."""

from __future__ import annotations

import argparse
import dataclasses
import time
from contextlib import nullcontext
from pathlib import Path

from infeng.cli.console import human_bytes, print_json, progress
from infeng.convert import ADAPTER_DTYPES, DEFAULT_GROUP, RECIPES, Recipe, convert
from infeng.convert.report import check_report_name, write_report
from infeng.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--in",
        dest="source",
        type=Path,
        required=True,
        metavar="PATH",
        help="GGUF file, Hugging Face folder (safetensors), or PEFT folder (LoRA adapter)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument(
        "--recipe",
        choices=tuple(dict.fromkeys((*RECIPES, *ADAPTER_DTYPES))),
        help="of a model: int8 (default) or f32; of an adapter: f32 (default) or f16",
    )
    parser.add_argument(
        "--base", metavar="MODEL", help="that an adapter is for; left out: the default model"
    )
    parser.add_argument(
        "--group",
        type=int,
        default=DEFAULT_GROUP,
        metavar="N",
        help=f"weights that share a scale in int8; default: {DEFAULT_GROUP}",
    )
    parser.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="longest sequence in tokens, for models whose RoPE depends on it (dynamic, longrope); "
        "default: the length that needs no scaling",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="error per tensor as .csv or .json"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a line")


def run(args: argparse.Namespace) -> int:
    if (args.source / "adapter_config.json").is_file():
        return _adapter(args)
    if args.base is not None:
        raise UsageError("--base: only with an adapter, which --in is not")
    name = args.recipe or RECIPES[0]
    if name not in RECIPES:
        raise UsageError(f"--recipe {name}: a model's are {', '.join(RECIPES)}")
    recipe = Recipe(name, args.group)
    if args.report is not None:
        check_report_name(args.report)
    started = time.perf_counter()
    with progress(f"{args.source.name} to {name}") as report_progress:
        written = convert(
            args.source,
            args.out,
            recipe,
            measure_errors=args.report is not None,
            context=args.context,
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


def _adapter(args: argparse.Namespace) -> int:
    # Here: the program that makes the default model cannot come with it.
    from infeng import models
    from infeng.adapter import convert_adapter

    dtype = args.recipe or ADAPTER_DTYPES[0]
    if dtype not in ADAPTER_DTYPES:
        raise UsageError(f"--recipe {dtype}: an adapter's are {', '.join(ADAPTER_DTYPES)}")
    for option in ("report", "context"):
        if getattr(args, option) is not None:
            raise UsageError(f"--{option}: only with a model")
    with progress("base model") as report_progress:
        base = models.base_of(args.base, lambda title: nullcontext(report_progress))
    written = convert_adapter(args.source, base, args.out, dtype)
    if args.json:
        print_json({"out": str(args.out), "recipe": dtype, **dataclasses.asdict(written)})
    else:
        print(
            f"{args.out}: {human_bytes(written.bytes)}, {written.weights:,} weights in "
            f"{written.targets} layers, {dtype}"
        )
    return 0
