"""Summaries for the gate's tests, made of numbers that a test chooses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

COLUMNS = ["op", "M", "tokens_per_s", "scratch_ratio"]


def comparison(ratio: float = 1.0, error: float = 0.002, spread: float = 0.002) -> dict[str, Any]:
    log = math.log(ratio)
    return {
        "against": "Int8Mac",
        "log_ratio": log,
        "low": log - 1.96 * error,
        "high": log + 1.96 * error,
        "stderr": error,
        "aa_spread": spread,
        "blocks": 60,
        "epochs": 3,
    }


def row(m: int, **comparisons: dict[str, Any]) -> dict[str, Any]:
    values = {"op": "int8", "M": str(m), "tokens_per_s": "1000", "scratch_ratio": "1.1"}
    return {
        "table": "t",
        "key": {"op": "int8", "M": str(m)},
        "values": values,
        "comparisons": comparisons,
    }


def data(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "_meta": {
            "schema": "infeng-perf-1",
            "sweep": "t",
            "tables": {"t": COLUMNS},
            "units": {"tokens_per_s": "tokens/s"},
            "hardware": {"key": "amd-25-1-avx2-2c", "model_name": "AMD EPYC"},
            "build": {
                "commit": "c0ffee",
                "dirty": False,
                "optimized": True,
                "compiler": "clang 17",
            },
            "run": {
                "wall_s": 10.0,
                "elapsed_s": 10.0,
                "load_average": [0.1, 0.2],
                "aa_spread_pct": {"median": 0.2, "max": 0.2},
            },
        },
        "rows": list(rows),
    }


def save(
    folder: Path,
    *rows: dict[str, Any],
    change: Callable[[dict[str, Any]], Any] | None = None,
    name: str = "t",
) -> Path:
    """Writes t.csv and t_summary.json as a sweep does; gives the summary's path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = data(*rows)
    if change:
        change(content)
    lines = [",".join(COLUMNS)] + [",".join(r["values"][c] for c in COLUMNS) for r in rows]
    (folder / "t.csv").write_text("\r\n".join(lines) + "\r\n")
    path = folder / f"{name}_summary.json"
    path.write_text(json.dumps(content))
    return path
