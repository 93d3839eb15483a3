"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Literal

from infeng.cli.console import progress
from infeng.convert import RECIPES
from infeng.errors import UsageError
from infeng.llm import LLM
from infeng.memory import KV_DTYPES


def threads(text: str) -> int | Literal["auto"]:
    """The value of --threads."""
    if text == "auto":
        return "auto"
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'auto' nor from 1 to 256")
    return count


def thread_counts(text: str) -> list[int | Literal["auto"]]:
    """The value of a --threads that takes several."""
    return [threads(part) for part in text.split(",")]


def kv_dtypes(text: str) -> list[str]:
    """The value of a --kv that takes several."""
    names = text.split(",")
    for name in names:
        if name not in KV_DTYPES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(KV_DTYPES)}")
    if len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"{text!r} names one twice")
    return names


def add_model_options(
    parser: argparse.ArgumentParser, several_kv: bool = False, several_threads: bool = False
) -> None:
    """--model and how it is computed. several_kv: --kv takes a list, or None if left out.
    several_threads: --threads takes a list."""
    parser.add_argument(
        "--model",
        metavar="PATH",
        help="INFQ or GGUF file or Hugging Face folder; left out: the default model",
    )
    parser.add_argument(
        "--dtype", choices=RECIPES, help="weights; left out: the file's own, int8 if converted"
    )
    kv_help = "KV cache; left out: int8, f32 with f32 weights"
    if several_kv:
        parser.add_argument(
            "--kv",
            type=kv_dtypes,
            metavar="DTYPE[,DTYPE...]",
            help=f"{', '.join(KV_DTYPES)}: several are compared; {kv_help}",
        )
    else:
        parser.add_argument("--kv", choices=KV_DTYPES, help=kv_help)
    if several_threads:
        parser.add_argument(
            "--threads",
            type=thread_counts,
            default="auto",
            metavar="N[,N...]",
            help="'auto' or numbers, one after another; default: one per core",
        )
    else:
        parser.add_argument(
            "--threads", type=threads, default="auto", metavar="N", help="'auto' or a number"
        )
    parser.add_argument(
        "--force_path",
        "--force-path",
        choices=("auto", "scalar", "avx2", "avx512", "amx"),
        default="auto",
        help="ISA tier of the kernels; one that the CPU lacks is an error",
    )


def add_speculate_option(parser: argparse.ArgumentParser) -> None:
    """--speculate."""
    parser.add_argument(
        "--speculate",
        type=int,
        default=0,
        metavar="K",
        help="try up to K tokens at once, looked up in the text so far: the same answer, faster "
        "where it repeats; default: 0, off",
    )


def memory_size(text: str) -> int:
    """Bytes, of a number that may end with K, M or G (binary units)."""
    number, unit = (text[:-1], text[-1]) if text[-1:].upper() in "KMG" else (text, "")
    try:
        size = int(float(number) * {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[unit.upper()])
    except (ValueError, OverflowError):
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, such as 512M or 2G")
    return size


def load(
    args: argparse.Namespace,
    adapters: dict[str, Path] | None = None,
    kv: str | None = None,
    threads: int | Literal["auto"] | None = None,
    **more: Any,
) -> LLM:
    """The model that the options of add_model_options name. kv, threads: instead of theirs.
    more: arguments of LLM."""
    return LLM(
        args.model,
        adapters=adapters,
        threads=threads or args.threads,
        dtype=args.dtype,
        force_path=args.force_path,
        kv=kv or args.kv,
        watch=lambda title: progress(f"converting {title}"),
        **more,
    )


def named_paths(values: list[str], option: str) -> dict[str, Path]:
    """NAME=PATH arguments as a dict. Raises UsageError."""
    result: dict[str, Path] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not (name and equals and path):
            raise UsageError(f"{option} {value}: expected NAME=PATH")
        if name in result:
            raise UsageError(f"{option}: {name!r} is there twice")
        result[name] = Path(path)
    return result
