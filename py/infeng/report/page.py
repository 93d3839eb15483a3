"""The page: tables, plots and `_meta` in one HTML file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from infeng.files import atomic_write
from infeng.report import plots
from infeng.report.runs import Row, Run, history, read_folder


def write_page(
    folder: Path, out: Path, sweeps: Sequence[str] = (), baselines: Path | None = None
) -> Path:
    """Write the page of the summaries in `folder` to `out` and return out.

    sweeps: only these. baselines: the folder of committed baselines, for the trend. Raises
    InputError."""
    runs = read_folder(folder, sweeps)
    body = "".join(_section(run, baselines) for run in runs)
    links = "".join(f'<a href="#{escape(r.sweep)}">{escape(r.sweep)}</a>' for r in runs)
    style = resources.files("infeng.report").joinpath("page.css").read_text()
    script = resources.files("infeng.report").joinpath("page.js").read_text()
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>infeng: {escape(', '.join(r.sweep for r in runs))}</title>"
        f"<style>{style}</style></head><body><header><h1>infeng performance report</h1>"
        f"<nav>{links}</nav></header><main>{body}</main><script>{script}</script></body></html>\n"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as file:
        file.write(text.encode())
    return out


def _section(run: Run, baselines: Path | None) -> str:
    parts = [f'<section id="{escape(run.sweep)}"><h2>{escape(run.sweep)}</h2>', _conditions(run)]
    roof = plots.roofline(run)
    if roof:
        parts.append(_figure("Roofline", roof, "Hover a point for its row."))
    names = dict.fromkeys(c.name for row in run.rows for c in row.comparisons)
    for name in names:
        against = {c.against for r in run.rows for c in r.comparisons if c.name == name}
        note = (
            f"Reference time / our time, 95 % intervals, against {', '.join(sorted(against)[:4])}"
        )
        note += " and others." if len(against) > 4 else "."
        title = "Share of the roof that binds" if name == "yardstick" else f"Speed-up: {name}"
        parts.append(_figure(title, plots.speedups(run, name), note))
    if baselines:
        line = plots.trend(history(baselines, run.hardware_key, run.sweep))
        note = "" if line else "Fewer than two committed baselines of this hardware."
        parts.append(_figure("Trend over committed baselines", line, note))
    parts += [
        _table(table, [row for row in run.rows if row.table == table], run)
        for table in dict.fromkeys(row.table for row in run.rows)
    ]
    parts.append(
        "<details><summary>_meta</summary><pre>"
        + escape(json.dumps(run.meta, indent=2, ensure_ascii=False))
        + "</pre></details></section>"
    )
    return "".join(parts)


def _figure(title: str, drawing: str, note: str) -> str:
    caption = f"<figcaption>{escape(note)}</figcaption>" if note else ""
    return f"<figure><h3>{escape(title)}</h3>{drawing}{caption}</figure>"


def _conditions(run: Run) -> str:
    hardware, build, did = (run.meta.get(k) or {} for k in ("hardware", "build", "run"))
    commit = str(build.get("commit") or "unknown")[:10] + (" (dirty)" if build.get("dirty") else "")
    spread = did.get("aa_spread_pct") or {}
    facts = {
        "hardware": f"{hardware.get('key')} ({hardware.get('model_name')})",
        "commit": commit,
        "compiler": build.get("compiler"),
        "measured": did.get("started"),
        "load": "–".join(f"{x:.2f}" for x in did.get("load_average") or []),
        "A/A spread": f"{spread.get('median', '?')} % (worst row {spread.get('max', '?')} %)",
    }
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items())
    return f"<dl>{items}</dl>"


def _table(name: str, rows: Sequence[Row], run: Run) -> str:
    measured = [r for r in rows if not r.skipped]
    columns = list(run.meta.get("tables", {}).get(name) or (measured[0].values if measured else []))
    units: dict[str, Any] = run.meta.get("units", {})
    head = "".join(
        f'<th scope="col" title="{escape(str(units.get(c, "")))}"><button>{escape(c)}</button></th>'
        for c in columns
    )
    lines = []
    for row in measured:
        cells = "".join(f"<td>{escape(row.values.get(c, ''))}</td>" for c in columns)
        lines.append(f"<tr>{cells}</tr>")
    left_out = "".join(f"<li>{escape(r.name)}: {escape(r.skipped)}</li>" for r in rows if r.skipped)
    return (
        f"<h3>{escape(name)}</h3>"
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
        + (f"<p>Skipped:</p><ul>{left_out}</ul>" if left_out else "")
    )
