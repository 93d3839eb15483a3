"""infeng bench: how fast this machine reads prompts and writes answers."""

from __future__ import annotations

import argparse
import csv
import io
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from infeng import bench
from infeng.cli.console import print_json, print_table, progress
from infeng.cli.options import add_model_options, load, named_paths
from infeng.errors import UsageError
from infeng.files import atomic_write
from infeng.llm import LLM
from infeng.native import cpu_info

_KEYS = ("test", "threads", "adapters", "tokens", "depth", "batch")
_VALUES = ("tokens_per_s", "min", "max", "cv_pct")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser, several_threads=True)
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="measure also with this LoRA adapter (PEFT folder or INFQ file), repeatable: those "
        "of a batch wear them in turn",
    )
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
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    plan = _Plan(args)
    threads = args.threads if isinstance(args.threads, list) else [args.threads]
    rows: list[dict[str, Any]] = []
    about: dict[str, Any] = {}
    with progress("measuring") as report_progress:
        for count in threads:
            with load(args, threads=count) as llm:
                about = {
                    "model": str(llm.path),
                    "dtype": llm.dtype,
                    "kv": llm.kv,
                    "tier": llm.engine.tier,
                    "hardware_key": cpu_info()["hardware_key"],
                }
                for row in plan.rows(llm):
                    rows.append(row)
                    label = f"{row['test']} {row['tokens_per_s']:.0f} tokens/s"
                    report_progress(len(rows), plan.count * len(threads), label)
    if args.csv is not None:
        _write_csv(args.csv, about, rows)
    if args.json:
        print_json(about | {"rows": rows})
    else:
        print(", ".join(f"{k} {v}" for k, v in about.items()))
        print_table(
            (*_KEYS, "tokens/s", "range", "cv %"),
            [
                (
                    *(row[c] for c in _KEYS),
                    f"{row['tokens_per_s']:.1f}",
                    f"{row['min']:.1f}-{row['max']:.1f}",
                    "-" if row["cv_pct"] is None else f"{row['cv_pct']:.1f}",
                )
                for row in rows
            ],
        )
    return 0


class _Plan:
    """What is measured with each number of threads. Raises UsageError."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._prompts = _counts("--prompt", args.prompt, 1)
        self._depths = _counts("--depth", args.depth, 0)
        self._batches = _counts("--batch", args.batch, 1)
        for option in ("generate", "repeats"):
            if getattr(args, option) < 1:
                raise UsageError(f"--{option} {getattr(args, option)}: must be at least 1")
        self._generate, self._repeats = args.generate, args.repeats
        self._adapters = list(named_paths(args.adapter, "--adapter").values())
        measured = len(self._prompts) + len(self._depths) * len(self._batches)
        self.count = measured * (2 if self._adapters else 1)

    def rows(self, llm: LLM) -> Iterator[dict[str, Any]]:
        """Each measurement without adapters and, if there are any, with them."""
        with bench.loaded(llm, self._adapters) as ids:
            worn = [[bench.NO_ADAPTER], ids] if ids else [[bench.NO_ADAPTER]]
            for tokens in self._prompts:
                for some in worn:
                    measure = partial(bench.prefill, llm, tokens, some[0])
                    yield self._row(llm, "prefill", tokens, 0, 1, some, measure)
            for depth in self._depths:
                with bench.Contexts(llm, depth, max(self._batches)) as contexts:
                    for batch in self._batches:
                        for some in worn:
                            measure = partial(contexts.decode, self._generate, batch, some)
                            yield self._row(
                                llm, "decode", self._generate, depth, batch, some, measure
                            )

    def _row(
        self,
        llm: LLM,
        test: str,
        tokens: int,
        depth: int,
        batch: int,
        adapters: list[int],
        measure: Callable[[], float],
    ) -> dict[str, Any]:
        rates = [measure() for _ in range(self._repeats)]
        median = statistics.median(rates)
        return {
            "test": test,
            "threads": llm.engine.threads,
            "adapters": 0 if adapters == [bench.NO_ADAPTER] else min(len(adapters), batch),
            "tokens": tokens,
            "depth": depth,
            "batch": batch,
            "tokens_per_s": median,
            "min": min(rates),
            "max": max(rates),
            # Standard deviation over mean; one measurement has none.
            "cv_pct": 100 * statistics.stdev(rates) / statistics.mean(rates)
            if len(rates) > 1
            else None,
        }


def _write_csv(path: Path, about: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, (*about, *_KEYS, *_VALUES))
    writer.writeheader()
    writer.writerows(about | row for row in rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def _counts(option: str, text: str, least: int) -> list[int]:
    """The value of an option that takes several counts. Raises UsageError."""
    parts = text.split(",")
    if not all(p.isdigit() and least <= int(p) <= 1 << 20 for p in parts):
        raise UsageError(f"{option} {text}: expected numbers of at least {least}, e.g. 128,2048")
    return [int(p) for p in parts]
