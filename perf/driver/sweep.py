"""A sweep: what it measures, and the command line and files that all sweeps share."""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from infeng.errors import InfengError, UsageError, one_line, why
from infeng.files import atomic_write
from perf.driver import machine
from perf.driver.cores import Watch
from perf.driver.pairs import FULL, QUICK, Pair, Plan, Result, measure
from perf.gate.stats import QUANTILE, Estimate, median_error, student
from perf.gate.summary import SCHEMA

Value = str | int | float | bool


@dataclass
class Row:
    """A line of a table: every column but those that are filled in by add()."""

    table: str
    values: dict[str, Value]
    comparisons: dict[str, tuple[str, Estimate]] = field(default_factory=dict)
    skipped: str = ""

    def compare(self, name: str, result: Result) -> Estimate:
        """Adds a comparison, e.g. 'yardstick' or 'hf', and gives its estimate."""
        estimate = result.estimate()
        self.comparisons[name] = (result.pair.reference.name, estimate)
        return estimate


@dataclass(frozen=True)
class Lab:
    """What a sweep measures with."""

    hardware: dict[str, Any]
    peaks: machine.Peaks
    plan: Plan
    watch: Watch
    quick: bool
    only: frozenset[str]
    say: Callable[[str], Any]
    measured: list[Result] = field(default_factory=list)

    def wants(self, name: str) -> bool:
        """Whether --only asks for a row, by its name (row_name); all, without --only.

        A part of the name will do: the table and some of the key."""
        words = set(name.split())
        return not self.only or any(words.issuperset(only.split()) for only in self.only)

    def measure(self, pairs: Sequence[Pair]) -> list[Result]:
        """Measures pairs in turns; raises MeasureError."""
        results = measure(pairs, self.plan, self.watch, self.say)
        self.measured.extend(results)
        return results

    def tiers(self, force_path: str) -> list[str]:
        """The tiers to measure: the best one for 'auto'. Raises UsageError for one that lacks."""
        if force_path == "auto":
            return [self.hardware["tier"]]
        why_not = self.hardware["tiers"].get(force_path)
        if why_not is None:
            raise UsageError(
                f"--force_path={force_path}: expected auto, scalar, avx2, avx512 or amx"
            )
        if why_not:
            raise UsageError(f"--force_path={force_path}: {why_not}")
        return [force_path]


@dataclass(frozen=True)
class Sweep:
    """name: of the summary and the baseline. tables: CSV name to columns, in order. keys: CSV
    name to the columns that tell its rows apart. units: of columns that have one. run: gives
    the rows. add_arguments: the sweep's own flags."""

    name: str
    title: str
    tables: Mapping[str, tuple[str, ...]]
    keys: Mapping[str, tuple[str, ...]]
    units: Mapping[str, str]
    run: Callable[[Lab, argparse.Namespace], Iterable[Row]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None
    quick: Plan = QUICK
    full: Plan = FULL


def columns(text: str) -> tuple[str, ...]:
    """Columns from a CSV header, as docs write it."""
    return tuple(text.split(","))


def row_name(sweep: Sweep, table: str, values: Mapping[str, Value]) -> str:
    """The name by which --only chooses a row."""
    return " ".join([table, *(f"{k}={_text(values[k])}" for k in sweep.keys[table])])


def speed(result: Result) -> dict[str, float]:
    """seconds per unit of ours: median over the epochs, each at its fast slices (perf/gate/stats.py),
    low and high (95 %); reps: slices; cv_pct: of the epochs."""
    epochs = np.asarray([np.quantile(b[:, [0, 3]], QUANTILE) for b in result.epochs])
    center = float(np.median(epochs))
    half = student(len(epochs) - 1) * median_error(epochs)
    return {
        "seconds": center,
        "low": max(center - half, 1e-30),
        "high": center + half,
        "reps": 2 * sum(map(len, result.epochs)),
        "cv_pct": 100 * float(epochs.std() / epochs.mean()),
    }


def main(sweep: Sweep, arguments: list[str] | None = None) -> int:
    """The sweep's command line; gives the exit code."""
    folder = os.environ.get("BUILD_WORKING_DIRECTORY")
    if folder:
        os.chdir(folder)
    args = _parser(sweep).parse_args(arguments)
    try:
        if args.describe:
            described = machine.describe()
            print(json.dumps({**described, "build": _build(described)}, indent=1))
            return 0
        written = run(sweep, args)
    except KeyboardInterrupt:
        print(f"{sweep.name}_sweep: interrupted", file=sys.stderr)
        return 130
    except (InfengError, OSError) as e:
        text = f"{e.filename}: {why(e)}" if isinstance(e, OSError) and e.filename else one_line(e)
        print(f"{sweep.name}_sweep: {text}", file=sys.stderr)
        return 2 if isinstance(e, UsageError) else 1
    for path in written:
        print(path)
    return 0


def _parser(sweep: Sweep) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"{sweep.name}_sweep", description=sweep.title)
    parser.add_argument(
        "--out", type=Path, default=Path("reports"), help="folder, or one of its CSV files"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows, fewer repetitions")
    parser.add_argument("--html", action="store_true", help="a page with plots as well")
    parser.add_argument(
        "--force_path",
        "--force-path",
        default="auto",
        choices=("auto", "scalar", "avx2", "avx512", "amx"),
        help="ISA tier of the kernels",
    )
    parser.add_argument("--threads", type=_positive, default=1, metavar="N")
    parser.add_argument("--budget_s", type=float, help="stop adding repetitions after so long")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="exactly so many epochs")
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="repeatable")
    parser.add_argument("--raw", action="store_true", help="every slice as well, as JSON")
    parser.add_argument(
        "--describe", action="store_true", help="print machine and build, measure nothing"
    )
    sweep.add_arguments(parser)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 1 to 1024")
    return int(text)


def run(sweep: Sweep, args: argparse.Namespace) -> list[Path]:
    """Measures and writes; gives the files. Raises InfengError."""
    folder = args.out
    if folder.suffix == ".csv":
        if folder.stem not in sweep.tables:
            raise UsageError(f"--out {folder}: the tables are {', '.join(sweep.tables)}")
        folder = folder.parent
    say = (lambda line: print(line, file=sys.stderr)) if sys.stderr.isatty() else (lambda _: None)
    started, steady = time.time(), time.monotonic()
    described = machine.describe()
    watch = Watch()
    plan = sweep.quick if args.quick else sweep.full
    if args.budget_s is not None:
        plan = replace(plan, budget_s=args.budget_s)
    if args.epochs is not None:
        plan = replace(plan, min_epochs=args.epochs, max_epochs=args.epochs)
    peaks = machine.load_peaks(described["hardware"])
    lab = Lab(described["hardware"], peaks, plan, watch, args.quick, frozenset(args.only), say)
    rows = [_finish(sweep, row) for row in sweep.run(lab, args)]
    if not rows:
        raise UsageError(
            "no row is left to measure" + (f": --only {args.only[0]}" if args.only else "")
        )
    meta = _meta(sweep, args, described, peaks, watch, rows)
    meta["run"] |= {
        "started": _utc(started),
        "ended": _utc(time.time()),
        "wall_s": time.time() - started,
        "elapsed_s": time.monotonic() - steady,
    }
    written = write(sweep, folder, meta, rows, args.html)
    if args.raw:
        written.append(_write_raw(folder / f"{sweep.name}_slices.json", lab.measured))
    return written


def _write_raw(path: Path, results: Iterable[Result]) -> Path:
    """Pair to epochs of blocks of four slices (ours, reference, reference, ours), in seconds per
    unit of work."""
    data = {
        r.pair.name: [[[float(f"{s:.4g}") for s in block] for block in e] for e in r.epochs]
        for r in results
    }
    with atomic_write(path) as file:
        file.write(json.dumps(data, separators=(",", ":")).encode() + b"\n")
    return path


def _finish(sweep: Sweep, row: Row) -> dict[str, Any]:
    """A row as the summary has it."""
    columns = sweep.tables[row.table]
    unknown = [c for c in row.values if c not in columns]
    if unknown:
        raise InfengError(f"{row.table}: unknown column {unknown[0]!r}")
    missing = [c for c in columns if c not in row.values]
    if missing and not row.skipped:
        raise InfengError(f"{row.table}: column {missing[0]!r} is missing")
    values = {c: _text(row.values[c]) for c in columns if c in row.values}
    return {
        "table": row.table,
        "key": {c: values[c] for c in sweep.keys[row.table]},
        "values": {} if row.skipped else values,
        "comparisons": {
            name: {"against": against, **vars(estimate)}
            for name, (against, estimate) in row.comparisons.items()
        },
        **({"skipped": row.skipped} if row.skipped else {}),
    }


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _build(described: dict[str, Any]) -> dict[str, Any]:
    """_meta.build."""
    head, dirty = machine.commit()
    return {
        **described["build"],
        "commit": head,
        "dirty": dirty,
        "python": platform.python_version(),
    }


def _meta(
    sweep: Sweep,
    args: argparse.Namespace,
    described: dict[str, Any],
    peaks: machine.Peaks,
    watch: Watch,
    rows: list[dict[str, Any]],
) -> dict[str, Any]:
    spreads = [c["aa_spread"] for row in rows for c in row["comparisons"].values()]
    epochs = [c for row in rows for c in row["comparisons"].values()]
    return {
        "schema": SCHEMA,
        "sweep": sweep.name,
        "tables": {name: list(columns) for name, columns in sweep.tables.items()},
        "units": dict(sweep.units),
        "hardware": {**described["hardware"], "peaks": peaks.to_json()},
        "build": _build(described),
        "run": {
            "arguments": {
                k: str(v) for k, v in vars(args).items() if k not in ("out", "html", "describe")
            },
            **watch.report(),
            "blocks": [min(c["blocks"] for c in epochs), max(c["blocks"] for c in epochs)]
            if epochs
            else None,
            "aa_spread_pct": {
                "median": round(100 * float(np.median(spreads)), 3),
                "max": round(100 * max(spreads), 3),
            }
            if spreads
            else None,
        },
    }


def write(
    sweep: Sweep, folder: Path, meta: dict[str, Any], rows: list[dict[str, Any]], html: bool
) -> list[Path]:
    """The CSV files and the summary; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table, columns in sweep.tables.items():
        lines = [r["values"] for r in rows if r["table"] == table and "skipped" not in r]
        if not lines:
            continue
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(lines)
        written.append(folder / f"{table}.csv")
        with atomic_write(written[-1]) as file:
            file.write(text.getvalue().encode())
    written.append(folder / f"{sweep.name}_summary.json")
    with atomic_write(written[-1]) as file:
        data = {"_meta": meta, "rows": _no_nan(rows)}
        file.write(json.dumps(data, indent=1, ensure_ascii=False).encode() + b"\n")
    if html:
        from infeng.report import write_page

        written.append(write_page(folder, folder / f"{sweep.name}.html", [sweep.name]))
    return written


def _no_nan(value: Any) -> Any:
    """JSON has neither NaN nor infinity: they become null, which readers refuse by name."""
    if isinstance(value, dict):
        return {k: _no_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_no_nan(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _utc(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
