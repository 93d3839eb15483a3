"""What happened under a load, as events; and the figures of sched_zipf.csv that follow from them.

Times are seconds of one clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

Span = tuple[float, float]  # from, to


@dataclass(frozen=True)
class Part:
    """One adapter's answer. admitted: when it first ran, None for never. tokens: when each came."""

    admitted: float | None
    tokens: tuple[float, ...]


@dataclass(frozen=True)
class Asked:
    """A request. arrived: when it was due, even if the load's thread was late. ended: when all of
    its answers were complete, or when it was given up: then it has waited at least so long."""

    arrived: float
    ended: float
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Trace:
    """begin, end: the window in which requests arrive; all of them are followed to their ends.
    reloads: from the wish to the new content being in place. decode, adapter: when the stages
    were at work; spans of several threads may overlap."""

    begin: float
    end: float
    asked: tuple[Asked, ...]
    reloads: tuple[Span, ...] = ()
    decode: tuple[Span, ...] = ()
    adapter: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Figures:
    """The columns of the same names, of one kind of load (docs/perf.md)."""

    mean_adapters_per_req: float
    load_rps: float
    duration_s: float
    p50_ms: float
    p95_ms: float
    hot_reload_ms_p95: float
    tokens_per_s: float
    queue_ms_p95: float
    decode_util: float
    adapter_util: float
    overlap_ratio: float
    latencies_ms: tuple[float, ...] = field(repr=False, default=())

    @property
    def capacity(self) -> float:
        """Tokens per second in which the decode stage was busy."""
        return self.tokens_per_s / self.decode_util if self.decode_util else 0.0


def figures(traces: Sequence[Trace]) -> Figures:
    """Of windows of the same load, taken together. Raises ValueError if no request arrived."""
    asked = [a for t in traces for a in t.asked]
    if not asked:
        raise ValueError("no request arrived")
    seconds = sum(t.end - t.begin for t in traces)
    whole = [(a.ended - a.arrived) * 1e3 for a in asked]
    waits = [
        ((a.ended if p.admitted is None else p.admitted) - a.arrived) * 1e3
        for a in asked
        for p in a.parts
    ]
    reloads = [(to - at) * 1e3 for t in traces for at, to in t.reloads]
    tokens = sum(
        t.begin <= at < t.end for t in traces for a in t.asked for p in a.parts for at in p.tokens
    )
    decode = adapter = both = 0.0
    for t in traces:
        mine, others = united(t.decode, t.begin, t.end), united(t.adapter, t.begin, t.end)
        decode += length(mine)
        adapter += length(others)
        both += length(common(mine, others))
    return Figures(
        mean_adapters_per_req=float(np.mean([len(a.parts) for a in asked])),
        load_rps=len(asked) / seconds,
        duration_s=seconds,
        p50_ms=float(np.percentile(whole, 50)),
        p95_ms=float(np.percentile(whole, 95)),
        hot_reload_ms_p95=float(np.percentile(reloads, 95)) if reloads else 0.0,
        tokens_per_s=tokens / seconds,
        queue_ms_p95=float(np.percentile(waits, 95)),
        decode_util=decode / seconds,
        adapter_util=adapter / seconds,
        overlap_ratio=both / min(decode, adapter) if min(decode, adapter) > 0 else 0.0,
        latencies_ms=tuple(whole),
    )


def lora_tax_pct(mixed: Figures, base: Figures) -> float:
    """Percent of the tokens per busy second without adapters that are lost with them."""
    return 100 * (1 - mixed.capacity / base.capacity) if base.capacity else 0.0


def united(spans: Iterable[Span], begin: float, end: float) -> list[Span]:
    """The union of spans within a window: in order, apart from each other."""
    result: list[Span] = []
    for start, stop in sorted((max(a, begin), min(b, end)) for a, b in spans):
        if stop <= start:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], stop))
        else:
            result.append((start, stop))
    return result


def common(a: Sequence[Span], b: Sequence[Span]) -> list[Span]:
    """Where two lists of united spans overlap."""
    result: list[Span] = []
    i = j = 0
    while i < len(a) and j < len(b):
        start, stop = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if start < stop:
            result.append((start, stop))
        if a[i][1] <= b[j][1]:
            i += 1
        else:
            j += 1
    return result


def length(spans: Iterable[Span]) -> float:
    """Seconds of spans that are apart from each other."""
    return sum(b - a for a, b in spans)
