"""What the page is made of: the summaries in a folder, and the baselines that git remembers."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infeng.errors import InputError
from infeng.jsontext import Fields, load_object

_LIMIT = 1 << 26
_SUFFIX = "_summary.json"


@dataclass(frozen=True)
class Comparison:
    """A speed ratio (reference time / our time) with its 95 % interval."""

    name: str
    against: str
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    table: str
    key: dict[str, str]
    values: dict[str, str]
    comparisons: list[Comparison]
    skipped: str

    @property
    def name(self) -> str:
        """What tells the row apart, zeros and the table's own constants left in."""
        return " ".join(f"{k}={v}" for k, v in self.key.items())

    def number(self, column: str) -> float | None:
        """The value of a column, None if it is absent or no finite number."""
        try:
            value = float(self.values.get(column, ""))
        except ValueError:
            return None
        return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Run:
    """A summary: one sweep, measured once."""

    sweep: str
    meta: dict[str, Any]
    rows: list[Row]

    @property
    def hardware_key(self) -> str:
        return str(self.meta.get("hardware", {}).get("key", "unknown"))


def read_folder(folder: Path, sweeps: Sequence[str] = ()) -> list[Run]:
    """The summaries in a folder, or those of the named sweeps. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    if sweeps:
        paths = [p for p in paths if p.name.removesuffix(_SUFFIX) in sweeps]
    if not paths:
        raise InputError(f"{folder}: no *{_SUFFIX}: run a sweep with --out={folder} first")
    return [_run(load_object(path, _LIMIT), str(path)) for path in paths]


def _run(data: dict[str, Any], where: str) -> Run:
    fields = Fields(data, where)
    meta = fields.get("_meta", dict)
    sweep = Fields(meta, f"{where}: _meta").get("sweep", str)
    rows = []
    for i, value in enumerate(fields.get("rows", list)):
        if not isinstance(value, dict):
            raise InputError(f"{where}: rows[{i}]: expected an object")
        row = Fields(value, f"{where}: rows[{i}]")
        comparisons = row.get("comparisons", dict, {}).items()
        rows.append(
            Row(
                row.get("table", str),
                {k: str(v) for k, v in row.get("key", dict).items()},
                {k: str(v) for k, v in row.get("values", dict, {}).items()},
                [_comparison(n, c, f"{where}: rows[{i}].comparisons.{n}") for n, c in comparisons],
                row.get("skipped", str, ""),
            )
        )
    return Run(sweep, meta, rows)


def _comparison(name: str, value: Any, where: str) -> Comparison:
    fields = Fields(value if isinstance(value, dict) else {}, where)
    center, low, high = (math.exp(fields.get(n, float)) for n in ("log_ratio", "low", "high"))
    return Comparison(name, fields.get("against", str), center, low, high)


@dataclass(frozen=True)
class Version:
    """A baseline as one commit has it."""

    commit: str
    date: str  # ISO, of the commit
    run: Run


def history(baselines: Path, hardware_key: str, sweep: str, limit: int = 50) -> list[Version]:
    """The committed versions of a baseline, the oldest first; [] outside a git checkout."""
    path = baselines / hardware_key / f"{sweep}.json"
    listing = _git(baselines, "log", f"-{limit}", "--format=%H %cs", "--", str(path))
    versions = []
    for line in reversed(listing.splitlines()):
        commit, date = line.split()
        text = _git(baselines, "show", f"{commit}:./{path.relative_to(baselines)}")
        try:
            run = _run(json.loads(text), f"{path} at {commit[:10]}")
        except (ValueError, InputError):
            continue  # a version of another format has no place in the plot
        versions.append(Version(commit, date, run))
    return versions


def _git(folder: Path, *arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
