"""The page's plots: roofline, speed-ups with intervals, the baselines' trend."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from infeng.report.runs import Row, Run, Version
from infeng.report.svg import Axis, Drawing, around, frame, number

SERIES = 8  # colours s0 ... s7 of the page


def _series(names: Sequence[str]) -> dict[str, str]:
    return {name: f"s{i % SERIES}" for i, name in enumerate(sorted(set(names)))}


def legend(names: dict[str, str]) -> str:
    items = "".join(
        f'<li><span class="key {css}"></span>{escape(name)}</li>' for name, css in names.items()
    )
    return f'<ul class="legend">{items}</ul>' if len(names) > 1 else ""


def short_names(rows: Sequence[Row]) -> list[str]:
    """Names of rows by as few parts of their keys as tell them apart, e.g. "int8 M=16 N=576"."""
    if len({row.table for row in rows}) == len(rows):
        return [row.table for row in rows]
    kept = [k for k in rows[0].key if len({row.key.get(k) for row in rows}) > 1]
    for column in reversed(kept[:]):
        fewer = [k for k in kept if k != column]
        if len({tuple(row.key.get(k) for k in fewer) for row in rows}) == len(rows):
            kept = fewer
    # A word says what it is; a number needs its column's name.
    return [" ".join(_part(k, row.key.get(k, "")) for k in kept) for row in rows]


def _part(column: str, value: str) -> str:
    return value if value and not value[0].isdigit() else f"{column}={value}"


def roofline(run: Run) -> str:
    """Work per second over work per byte, below what the machine can do; "" if the tables do not
    tell both (columns gops or gflops, and gb_per_s)."""
    points = []
    for row in run.rows:
        speed = row.number("gops") or row.number("gflops")
        traffic = row.number("gb_per_s")
        if speed and traffic:
            points.append((row, speed / traffic, speed))
    peaks = run.meta.get("hardware", {}).get("peaks", {})
    bandwidth = peaks.get("read_gb_per_s", {}).get("1")
    if not points or not bandwidth:
        return ""
    paths = sorted({row.key.get("path", "") for row, _, _ in points})
    roofs = [
        (f"{kind} {path}", peak)
        for kind, of_tier in (("int8", "int8_gops"), ("f32", "f32_gflops"))
        for path in paths
        if (peak := peaks.get(of_tier, {}).get(path))
    ]
    drawing = Drawing(760, 420, f"roofline of {run.sweep}")
    low_x, high_x = around([x for _, x, _ in points], 2)
    low_y, high_y = around([*(y for _, _, y in points), *(peak for _, peak in roofs)])
    x, y = Axis(low_x, high_x, 64, 740), Axis(low_y, high_y, 360, 30)
    frame(drawing, x, y, "operations per byte of weights", "10⁹ operations/s, one thread's roofs")
    for name, peak in roofs:
        knee = peak / bandwidth
        start = max(low_x, low_y / bandwidth)
        line = [(x(max(knee, low_x)), y(peak)), (x(high_x), y(peak))]
        if start < knee < high_x:
            line.insert(0, (x(start), y(start * bandwidth)))
        drawing.path(line, "roof")
        drawing.text(x(high_x) - 4, y(peak) - 6, f"{name}: {number(peak)}", "end", "tick")
    foot = x(max(low_x, low_y / bandwidth))
    drawing.text(foot + 16, y.a - 6, f"memory: {number(bandwidth)} GB/s", "start", "tick")
    series = _series([row.key.get("op", row.table) for row, _, _ in points])
    names = short_names([row for row, _, _ in points])
    for name, (row, at, speed) in zip(names, points):
        of_peak = row.number("pct_peak")
        tip = f"{name}: {number(speed)} Gop/s, {number(at)} op/byte"
        if of_peak is not None:
            tip += f", {number(of_peak)} % of its roof"
        drawing.dot(x(at), y(speed), series[row.key.get("op", row.table)], tip)
    return drawing.render() + legend(series)


def speedups(run: Run, comparison: str) -> str:
    """One line a row: the ratio and its interval on a logarithmic axis; "" if none has it."""
    found = [(r, c) for r in run.rows for c in r.comparisons if c.name == comparison]
    if not found:
        return ""
    names = short_names([row for row, _ in found])
    height = 56 + 22 * len(found)
    drawing = Drawing(760, height + 20, f"{comparison} ratios of {run.sweep}")
    low, high = around([1.0, *(c.low for _, c in found), *(c.high for _, c in found)], 1.08)
    x, y = Axis(low, high, 330, 690), Axis(1, 2, height - 30, 24)
    for tick in x.ticks():
        drawing.line(x(tick), y.a, x(tick), y.b, "grid")
        drawing.text(x(tick), y.a + 18, f"{number(tick)}×", "middle", "tick")
    drawing.line(x(1), y.a, x(1), y.b, "one")
    series = _series([row.table for row, _ in found])
    for i, (name, (row, c)) in enumerate(zip(names, found)):
        at = 40 + 22 * i
        drawing.text(320, at + 4, name if len(name) < 46 else name[:45] + "…", "end", "tick")
        drawing.line(x(c.low), at, x(c.high), at, f"interval {series[row.table]}")
        tip = f"{name}: {c.ratio:.3f}× ({c.low:.3f}–{c.high:.3f}) against {c.against}"
        drawing.dot(x(c.ratio), at, series[row.table], tip)
        drawing.text(750, at + 4, f"{c.ratio:.2f}×", "end", "tick")
    return drawing.render() + legend(series)


def trend(versions: Sequence[Version], comparison: str = "yardstick") -> str:
    """Each row's ratio over the committed baselines; "" with fewer than two of them."""
    if len(versions) < 2:
        return ""
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for i, version in enumerate(versions):
        for row in version.run.rows:
            for c in row.comparisons:
                if c.name == comparison:
                    lines.setdefault((row.table, row.name), []).append((i, c.ratio))
    if not lines:
        return ""
    drawing = Drawing(760, 360, "trend over committed baselines")
    low, high = around([ratio for line in lines.values() for _, ratio in line], 1.1)
    y = Axis(low, high, 300, 30)
    step = 676 / (len(versions) - 1)
    for tick in y.ticks():
        drawing.line(64, y(tick), 740, y(tick), "grid")
        drawing.text(56, y(tick) + 4, number(tick), "end", "tick")
    every = max(1, len(versions) // 8)
    for i, version in enumerate(versions):
        if i % every == 0:
            anchor = "start" if i == 0 else "end" if i == len(versions) - 1 else "middle"
            drawing.text(64 + step * i, 320, f"{version.date}", anchor, "tick")
            drawing.text(64 + step * i, 336, version.commit[:7], anchor, "tick")
    drawing.text(64, 18, f"ratio to the {comparison}, higher is faster", "start", "title")
    series = _series([table for table, _ in lines])
    for (table, name), line in lines.items():
        drawing.path([(64 + step * i, y(r)) for i, r in line], f"trend {series[table]}")
        for i, ratio in line:
            tip = f"{name}: {ratio:.3f} at {versions[i].commit[:7]}"
            drawing.dot(64 + step * i, y(ratio), series[table], tip)
    return drawing.render() + legend(series)
