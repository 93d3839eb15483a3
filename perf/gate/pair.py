"""Two CSV files of separate runs, row against row: a weaker ratio than one of a single run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from infeng.errors import InputError
from perf.gate.gate import CsvPair, Rules
from perf.gate.stats import Z95
from perf.gate.summary import Comparison, Row, Summary, read_csv, read_header
from perf.gate.verdict import Verdict, judge_bound


def judge_pair(rules: Rules, pair: CsvPair, native: Path, python: Path) -> list[Verdict]:
    """Verdicts of the bounds on pair.name over the rows of `python`. Raises InputError.

    The files hold what is to be compared, so the bounds' `where` chooses no rows. The interval is made of each row's cv_pct and reps; what differs between the two runs is
    not in it."""
    rows = _rows(pair, native, python)
    summary = Summary(native, {}, rows)
    bounds = [replace(b, where={}) for b in rules.bounds if b.comparison == pair.name]
    if not bounds:
        raise InputError(f"{rules.name}: no bound is on the comparison {pair.name!r}")
    return [v for b in bounds for v in judge_bound(b, summary, rules.spread_limit)]


def _rows(pair: CsvPair, native: Path, python: Path) -> list[Row]:
    ours, theirs = _read(pair, native), _read(pair, python)
    rows = []
    for key, other in theirs.items():
        row = ours.get(key)
        if row is None:
            where = " ".join(f"{c}={v}" for c, v in zip(pair.join, key))
            raise InputError(f"{native}: missing row {where}, which {python} has")
        (rate, error), (base, base_error) = _rate(pair, native, row), _rate(pair, python, other)
        log, stderr = math.log(rate / base), math.hypot(error, base_error)
        comparison = Comparison(
            str(python), log, log - Z95 * stderr, log + Z95 * stderr, stderr, stderr, 1, 1
        )
        rows.append(Row(native.stem, dict(zip(pair.join, key)), row, {pair.name: comparison}))
    return rows


def _read(pair: CsvPair, path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    header = read_header(path)
    for column in (*pair.join, pair.value, "reps", "cv_pct"):
        if column not in header:
            raise InputError(f"{path}: column {column!r} is missing")
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for number, row in enumerate(read_csv(path, header), 2):
        key = tuple(row[c] for c in pair.join)
        if key in rows:
            raise InputError(f"{path}:{number}: {' '.join(key)} is there twice")
        rows[key] = row
    return rows


def _rate(pair: CsvPair, path: Path, row: dict[str, str]) -> tuple[float, float]:
    """The rate and the standard error of its logarithm."""
    try:
        rate, cv, reps = float(row[pair.value]), float(row["cv_pct"]), float(row["reps"])
    except ValueError as e:
        raise InputError(f"{path}: {e}") from e
    if rate <= 0 or reps < 1 or cv < 0:
        raise InputError(f"{path}: {pair.value}={rate:g} reps={reps:g} cv_pct={cv:g} cannot be")
    return rate, cv / 100 / math.sqrt(reps)
