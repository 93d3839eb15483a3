"""infeng inspect: what an INFQ file holds."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from infeng.adapter import is_adapter, read_adapter_header
from infeng.cli.console import human_bytes, print_json, print_pairs, print_table
from infeng.convert.config import ModelConfig
from infeng.errors import InputError, UsageError
from infeng.memory import estimate
from infeng.models import read_header


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="INFQ file")
    parser.add_argument(
        "--verify", action="store_true", help="only check all sums, scales and weights"
    )
    parser.add_argument(
        "--estimate",
        nargs=2,
        type=int,
        metavar=("N", "CONTEXT"),
        help="memory for N sequences of CONTEXT tokens",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    if is_adapter(args.file):
        return _adapter(args)
    header = read_header(args.file)
    config = ModelConfig.from_header(header["config"])
    shown: dict[str, Any] = {} if args.verify or args.estimate else dict(header)
    if args.verify:
        shown["verified"] = True
    if args.estimate:
        shown["estimate"] = _estimate(args.file.stat().st_size, config, *args.estimate)
    if args.json:
        print_json(shown)
        return 0
    if args.verify:
        print(f"{args.file}: good: structure, sums, scales and weights")
    if args.estimate:
        print_pairs([(name, human_bytes(size)) for name, size in shown["estimate"].items()])
    if not (args.verify or args.estimate):
        _print_header(header, args.file)
    return 0


def _adapter(args: argparse.Namespace) -> int:
    if args.estimate:
        raise UsageError("--estimate: only with a model")
    header = read_adapter_header(args.file)
    shown = {"verified": True} if args.verify else header
    if args.json:
        print_json(shown)
    elif args.verify:
        print(f"{args.file}: good: structure, sums and weights")
    else:
        size = human_bytes(args.file.stat().st_size)
        print_pairs(
            [
                ("file", f"{args.file} ({size})"),
                *((key, header[key]) for key in ("kind", "tool", "rank")),
                ("base", header["base"]["digest"]),
                *((f"source {i}", f"{s['file']} {s['sha256']}") for i, s in _sources(header)),
            ]
        )
        columns = ("layer", "module", "rank", "scale", "dtype")
        print_table(columns, [tuple(t[c] for c in columns) for t in header["targets"]])
    return 0


def _sources(header: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(header["source"]))


def _estimate(weights: int, config: ModelConfig, sequences: int, context: int) -> dict[str, int]:
    if sequences < 1 or context < 1:
        raise UsageError("--estimate: N and CONTEXT must be at least 1")
    if context > config.max_position_embeddings:
        raise InputError(
            f"--estimate: {context} tokens are beyond the model's context of "
            f"{config.max_position_embeddings}"
        )
    return estimate(weights, config, sequences, context)


def _print_header(header: dict[str, Any], path: Path) -> None:
    size = path.stat().st_size
    weights = sum(math.prod(t["shape"]) for t in header["tensors"])
    pairs: list[tuple[str, object]] = [
        ("file", f"{path} ({human_bytes(size)}, {size * 8 / weights:.2f} bits per weight)"),
        *((key, header[key]) for key in ("kind", "architecture", "recipe", "tool")),
        *((f"source {i}", f"{s['file']} {s['sha256']}") for i, s in enumerate(header["source"])),
        *header["config"].items(),
        *((s["name"], human_bytes(s["bytes"])) for s in header["sections"]),
    ]
    print_pairs(pairs)
    print()
    columns = ("tensor", "dtype", "shape", "layout", "group", "digits", "bytes", "xxh3")
    rows = [
        (
            t["name"],
            t["dtype"],
            "x".join(map(str, t["shape"])),
            t["layout"],
            t.get("group", "-"),
            t.get("activation_digits", "-"),
            t["data"]["bytes"] + t.get("scale", {"bytes": 0})["bytes"],
            t["data"]["xxh3"],
        )
        for t in header["tensors"]
    ]
    print_table(columns, rows)
