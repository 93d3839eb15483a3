"""The store of baselines: perf/baselines/<hardware key>/<sweep>.json."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infeng.errors import InfengError, InputError
from infeng.files import atomic_write
from infeng.jsontext import load_object
from perf.gate.summary import Row, Summary, load
from perf.gate.verdict import SPREAD_LIMIT


class BaselineError(InfengError):
    """A run that may not become a baseline."""


def find(folders: Iterable[Path], hardware_key: str, sweep: str) -> Path | None:
    """The baseline of this hardware in the first folder that has it."""
    for folder in folders:
        path = folder / hardware_key / f"{sweep}.json"
        if path.is_file():
            return path
    return None


def build_refusals(build: Mapping[str, Any]) -> list[str]:
    """Why no run of this build (`_meta.build`) may become a baseline; [] if one may."""
    reasons = []
    if build.get("dirty") is None or build.get("commit") is None:
        reasons.append("the commit is unknown: measure in a git checkout")
    elif build["dirty"]:
        reasons.append("dirty tree: commit first, so that the baseline names what it measured")
    if not build.get("optimized"):
        mode = build.get("compilation_mode", "unknown")
        reasons.append(f"not an optimised build (compilation mode {mode}): measure with -c opt")
    if build.get("planted_slowdown_pct"):
        reasons.append(f"a slowdown of {build['planted_slowdown_pct']} % is planted in this build")
    return reasons


def noisy_rows(summary: Summary, comparison: str, spread_limit: float) -> list[Row]:
    """Rows whose A/A spread is above the limit in what is held against a baseline, worst first."""
    spreads = {r.name: r.comparisons[comparison].aa_spread for r in _compared(summary, comparison)}
    rows = [r for r in summary.rows if spreads.get(r.name, 0.0) > spread_limit]
    return sorted(rows, key=lambda r: -spreads[r.name])


def _compared(summary: Summary, comparison: str) -> list[Row]:
    return [row for row in summary.rows if comparison in row.comparisons]


def refusals(
    summary: Summary, comparison: str = "yardstick", spread_limit: float = SPREAD_LIMIT
) -> list[str]:
    """Why a run may not become a baseline; [] if it may. comparison: what gates will judge."""
    reasons = build_refusals(summary.meta["build"])
    noisy = noisy_rows(summary, comparison, spread_limit)
    if not _compared(summary, comparison):
        reasons.append(f"no row was compared with {comparison or 'anything'}")
    elif noisy:
        reasons.append(
            f"noisy run: A/A spread {100 * noisy[0].comparisons[comparison].aa_spread:.1f} % "
            f"in row {noisy[0].name!r}, "
            f"the limit is {100 * spread_limit:.1f} %: measure on a quiet machine"
        )
    return reasons


def merged(first: Summary, again: Summary, path: Path) -> Summary:
    """The first run with the rows that `again` measured anew, written to `path`."""
    data, newer = (load_object(s.path, 1 << 26) for s in (first, again))
    names = {row.name: i for i, row in enumerate(again.rows)}
    data["rows"] = [
        newer["rows"][names[row.name]] if row.name in names else old
        for row, old in zip(first.rows, data["rows"], strict=True)
    ]
    with atomic_write(path) as file:
        file.write(json.dumps(data).encode())
    return load(path)


def write(
    summary: Summary,
    path: Path,
    reason: str,
    comparison: str = "yardstick",
    spread_limit: float = SPREAD_LIMIT,
) -> None:
    """Make a run the baseline at `path`. Raises BaselineError with every refusal, InputError."""
    if not reason.strip():
        raise BaselineError("give the reason for the new baseline: --reason TEXT")
    problems = refusals(summary, comparison, spread_limit)
    if problems:
        raise BaselineError(f"refused: {'; '.join(problems)}")
    if path.exists() and (kept := load(path).hardware_key) != summary.hardware_key:
        raise BaselineError(f"{path} is of other hardware: {kept}, not {summary.hardware_key}")
    _store(summary, path, {"reason": reason, "date": _today()})


def write_candidate(summary: Summary, folder: Path) -> Path:
    """Leave a run among a test's outputs, ready to be committed; gives its path."""
    path = folder / "baselines" / summary.hardware_key / f"{summary.sweep}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    _store(summary, path, {"reason": "candidate", "date": _today()})
    return path


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _store(summary: Summary, path: Path, baseline: dict[str, Any]) -> None:
    data = load_object(summary.path, 1 << 26)
    data["_meta"]["baseline"] = baseline
    if not re.fullmatch(r"[a-z0-9_-]+", summary.hardware_key):
        raise InputError(f"{summary.path}: hardware key {summary.hardware_key!r} is no file name")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(json.dumps(data, indent=1, ensure_ascii=False).encode() + b"\n")
