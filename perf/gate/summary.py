"""A sweep's results: rows in CSV files and one summary JSON with `_meta`; read strictly.

Every way in which a file can be bad has its own one-line message, which names the file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infeng.errors import InputError
from infeng.files import read_bytes
from infeng.jsontext import Fields, load_object

SCHEMA = "infeng-perf-1"
_LIMIT = 1 << 26
# Seconds that wall clock and steady clock of a run may differ, beyond 1 % of the run.
_CLOCK_SLACK_S = 2.0


@dataclass(frozen=True)
class Comparison:
    """Ours against something that was measured in turn with it.

    Natural logarithms of the speed ratio; above 0, ours is faster."""

    against: str
    log_ratio: float
    low: float
    high: float
    stderr: float
    aa_spread: float
    blocks: int
    epochs: int


@dataclass(frozen=True)
class Row:
    """A line of a table. key: what was measured, as text; values: every column, as text."""

    table: str
    key: Mapping[str, str]
    values: Mapping[str, str]
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    skipped: str = ""  # why it could not be measured here

    @property
    def name(self) -> str:
        """Table and key, e.g. "gemm_base op=int8 path=avx2 M=1"."""
        return " ".join([self.table, *(f"{k}={v}" for k, v in self.key.items())])


@dataclass(frozen=True)
class Summary:
    """What one run of a sweep found."""

    path: Path
    meta: dict[str, Any]
    rows: list[Row]

    @property
    def sweep(self) -> str:
        return str(self.meta["sweep"])

    @property
    def hardware_key(self) -> str:
        return str(self.meta["hardware"]["key"])

    def row(self, table: str, key: Mapping[str, str]) -> Row | None:
        """The row with exactly this key."""
        for row in self.rows:
            if row.table == table and dict(row.key) == dict(key):
                return row
        return None


_NUMBERS = ("log_ratio", "low", "high", "stderr", "aa_spread")


def load(path: Path) -> Summary:
    """Read a summary or a baseline. Raises InputError."""
    data = load_object(path, _LIMIT)
    top = Fields(data, str(path))
    meta = top.get("_meta", dict)
    fields = Fields(meta, f"{path}: _meta")
    if fields.get("schema", str) != SCHEMA:
        raise fields.fail("schema", f"expected {SCHEMA!r}, found {meta['schema']!r}")
    fields.get("sweep", str)
    fields.get("tables", dict)
    fields.get("units", dict)
    Fields(fields.get("hardware", dict), f"{path}: _meta.hardware").get("key", str)
    fields.get("build", dict)
    _check_clock(path, fields.get("run", dict))
    rows = [_row(path, i, value) for i, value in enumerate(top.get("rows", list))]
    if not rows:
        raise InputError(f"{path}: no rows")
    seen: set[str] = set()
    for row in rows:
        if row.name in seen:
            raise InputError(f"{path}: row {row.name!r} is there twice")
        seen.add(row.name)
    return Summary(path, meta, rows)


def _row(path: Path, index: int, value: Any) -> Row:
    where = f"{path}: rows[{index}]"
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object")
    fields = Fields(value, where)
    key = {k: str(v) for k, v in fields.get("key", dict).items()}
    row = Row(
        fields.get("table", str),
        key,
        {k: str(v) for k, v in fields.get("values", dict, {}).items()},
        {
            name: _comparison(f"{where}: comparisons.{name}", c)
            for name, c in fields.get("comparisons", dict, {}).items()
        },
        fields.get("skipped", str, ""),
    )
    for column, text in row.values.items():
        _check_number(f"{path}: row {row.name!r}", column, text)
    return row


def _comparison(where: str, value: Any) -> Comparison:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object")
    fields = Fields(value, where)
    numbers = {}
    for name in _NUMBERS:
        # JSON has no NaN; the writer turns it into null, which must not count as absent.
        if name in value and value[name] is None:
            raise fields.fail(name, "is not a number (NaN)")
        numbers[name] = fields.get(name, float)
        if not math.isfinite(numbers[name]):
            raise fields.fail(name, "is not a number (NaN)")
    if not numbers["low"] <= numbers["log_ratio"] <= numbers["high"]:
        raise fields.fail("log_ratio", "lies outside its own interval")
    return Comparison(
        fields.get("against", str),
        **numbers,
        blocks=fields.positive("blocks"),
        epochs=fields.positive("epochs"),
    )


def _check_number(where: str, column: str, text: str) -> None:
    if text.lower() in ("nan", "inf", "-inf"):
        raise InputError(f"{where}: column {column} is {text}, not a number")


def _check_clock(path: Path, run: dict[str, Any]) -> None:
    """The wall clock agrees with the steady one, or times cannot be trusted."""
    fields = Fields(run, f"{path}: _meta.run")
    wall = fields.get("wall_s", float)
    steady = fields.get("elapsed_s", float)
    if steady < 0 or abs(wall - steady) > _CLOCK_SLACK_S + 0.01 * steady:
        raise InputError(
            f"{path}: the clock stepped by {wall - steady:+.1f} s during the run of "
            f"{steady:.1f} s: measure again"
        )


def _lines(path: Path) -> list[list[str]]:
    try:
        text = read_bytes(path, _LIMIT).decode()
    except UnicodeDecodeError as e:
        raise InputError(f"{path}: not UTF-8 text") from e
    lines = list(csv.reader(io.StringIO(text)))
    if not lines:
        raise InputError(f"{path}: empty: no header")
    return lines


def read_header(path: Path) -> list[str]:
    """The columns of a CSV file. Raises InputError."""
    return _lines(path)[0]


def read_csv(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """The lines of a CSV file with exactly these columns, as text. Raises InputError."""
    header, *body = _lines(path)
    expected = list(columns)
    unknown = [c for c in header if c not in expected]
    missing = [c for c in expected if c not in header]
    if unknown:
        raise InputError(f"{path}: unknown column {unknown[0]!r}: expected {','.join(expected)}")
    if missing:
        raise InputError(f"{path}: column {missing[0]!r} is missing")
    if len(set(header)) != len(header):
        raise InputError(f"{path}: a column is there twice in {','.join(header)}")
    if not body:
        raise InputError(f"{path}: no rows below the header")
    rows = []
    for number, cells in enumerate(body, 2):
        if len(cells) != len(header):
            raise InputError(
                f"{path}:{number}: {len(cells)} cells where the header has {len(header)}"
            )
        row = dict(zip(header, cells))
        for column, cell in row.items():
            _check_number(f"{path}:{number}", column, cell)
        rows.append(row)
    return rows


def check_csv(path: Path, summary: Summary) -> str:
    """That a CSV is a table of this summary, row by row; gives the table. Raises InputError."""
    table = path.stem
    tables = summary.meta["tables"]
    if table not in tables:
        raise InputError(f"{path}: {summary.path} has no table {table!r}: {', '.join(tables)}")
    lines = read_csv(path, tables[table])
    rows = [r for r in summary.rows if r.table == table and not r.skipped]
    for row in rows:
        if not any(all(line[k] == v for k, v in row.key.items()) for line in lines):
            raise InputError(f"{path}: missing row {row.name!r}, which {summary.path} has")
    for number, line in enumerate(lines, 2):
        match = [r for r in rows if all(line[k] == v for k, v in r.key.items())]
        if not match:
            raise InputError(f"{path}:{number}: row is not in {summary.path}")
        for column, cell in line.items():
            if match[0].values[column] != cell:
                raise InputError(
                    f"{path}:{number}: {column} is {cell} here and {match[0].values[column]} "
                    f"in {summary.path}: they are not of one run"
                )
    return table


def check_comparable(summary: Summary, baseline: Summary) -> None:
    """Raise InputError unless the baseline is of the same sweep, hardware and units."""
    if baseline.sweep != summary.sweep:
        raise InputError(
            f"{baseline.path}: a baseline of sweep {baseline.sweep!r}, not {summary.sweep!r}"
        )
    if baseline.hardware_key != summary.hardware_key:
        raise InputError(
            f"{baseline.path}: a baseline of other hardware: {baseline.hardware_key}, "
            f"this run is of {summary.hardware_key}"
        )
    for column, unit in baseline.meta["units"].items():
        now = summary.meta["units"].get(column)
        if now is not None and now != unit:
            raise InputError(
                f"{baseline.path}: the unit of {column} changed from {unit!r} to {now!r}"
            )
