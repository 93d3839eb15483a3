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
from perf.gate.summary import Summary, load
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


def refusals(summary: Summary, spread_limit: float = SPREAD_LIMIT) -> list[str]:
    """Why a run may not become a baseline; [] if it may."""
    reasons = build_refusals(summary.meta["build"])
    worst = max(
        ((c.aa_spread, row.name) for row in summary.rows for c in row.comparisons.values()),
        default=None,
    )
    if worst is None:
        reasons.append("no row was compared with a reference")
    elif worst[0] > spread_limit:
        reasons.append(
            f"noisy run: A/A spread {100 * worst[0]:.1f} % in row {worst[1]!r}, "
            f"the limit is {100 * spread_limit:.1f} %: measure on a quiet machine"
        )
    return reasons


def write(summary: Summary, path: Path, reason: str, spread_limit: float = SPREAD_LIMIT) -> None:
    """Make a run the baseline at `path`. Raises BaselineError with every refusal, InputError."""
    if not reason.strip():
        raise BaselineError("give the reason for the new baseline: --reason TEXT")
    problems = refusals(summary, spread_limit)
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
