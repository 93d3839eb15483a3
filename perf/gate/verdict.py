"""Verdicts: what a measured row means for a bound or a baseline."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from infeng.errors import InputError
from perf.gate.summary import Row, Summary

# Ratios within 3 % of the baseline are no regression: compilers and page colours do that.
TOLERANCE = 0.03
# A/A standard errors beyond which a slowdown counts as one.
SPREADS = 3.0
# The A/A spread above which a run says nothing.
SPREAD_LIMIT = 0.02
# What must be left of two peaks' quotient where that is the bound.
PEAKS_SHARE = 0.9
# The interval of what has no noise.
EXACT = "exact"


class Outcome(Enum):
    PASS = "PASS"
    WARN = "WARN"  # a bound that only warns is missed
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class Verdict:
    """One line of the gate's table."""

    what: str
    outcome: Outcome
    measured: str = ""
    interval: str = ""
    bound: str = ""
    reason: str = ""
    row: Row | None = None
    doubtful: bool = False  # passed, but the interval holds the tolerance: worth another run


@dataclass(frozen=True)
class Bound:
    """A stated bound on rows of a table.

    where: column to value; a value may begin with >=, <=, > or < to compare numbers, or be
    alternatives with | between. comparison: bounds its ratio (rank 1); column: bounds that
    number, which must be free of noise (rank 0), unless it only warns. drift: bounds by how much
    the number is above the baseline's. peaks: two of the machine's measured peaks, "int8_gops/f32_gflops":
    where their quotient itself is below at_least, PEAKS_SHARE of the quotient is the bound."""

    table: str
    where: Mapping[str, str] = field(default_factory=dict)
    comparison: str = ""
    column: str = ""
    at_least: float | None = None
    at_most: float | None = None
    environment: str = ""  # a variable that overrides the number
    warn: bool = False
    drift: bool = False
    peaks: str = ""

    def __post_init__(self) -> None:
        if bool(self.comparison) == bool(self.column):
            raise ValueError(f"bound on {self.table}: give either a comparison or a column")
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"bound on {self.table}: give at_least or at_most")
        if self.drift and not (self.column and self.at_most is not None):
            raise ValueError(f"bound on {self.table}: a drift is of a column, and at_most")
        if self.peaks and not (self.comparison and self.at_least is not None and "/" in self.peaks):
            raise ValueError(f"bound on {self.table}: peaks are A/B, of a comparison's at_least")

    @property
    def name(self) -> str:
        where = " ".join(f"{k}={v}" for k, v in self.where.items())
        return " ".join(filter(None, [self.table, where, self.comparison or self.column]))

    def text(self) -> str:
        parts = []
        if self.at_least is not None:
            parts.append(f"≥ {self.at_least:g}")
        if self.at_most is not None:
            parts.append(f"≤ {self.at_most:g}")
        return ", ".join(parts) + ("×" if self.comparison else "")

    def on(self, summary: Summary, row: Row) -> Bound:
        """The bound as this machine's peaks allow it for the row's tier. Raises InputError."""
        if not self.peaks:
            return self
        assert self.at_least is not None
        of, by = (_peak(summary, name, row) for name in self.peaks.split("/"))
        return replace(self, at_least=min(self.at_least, PEAKS_SHARE * of / by), peaks="")

    def matches(self, row: Row) -> bool:
        return row.table == self.table and all(
            _fits(row.values.get(k, row.key.get(k, "")), v) for k, v in self.where.items()
        )


def _peak(summary: Summary, name: str, row: Row) -> float:
    tier = row.key.get("path", "")
    try:
        peak = float(summary.meta["hardware"]["peaks"][name][tier])
    except (KeyError, TypeError, ValueError):
        peak = 0.0
    if not 0 < peak < math.inf:
        raise InputError(f"{summary.path}: no peak {name} of tier {tier!r} in _meta.hardware.peaks")
    return peak


def _fits(text: str, wanted: str) -> bool:
    match = re.fullmatch(r"(>=|<=|>|<)\s*(.+)", wanted)
    if not match:
        return text in wanted.split("|")
    try:
        value, limit = float(text), float(match.group(2))
    except ValueError:
        return False
    return {
        ">=": value >= limit,
        "<=": value <= limit,
        ">": value > limit,
        "<": value < limit,
    }[match.group(1)]


def judge_bound(
    bound: Bound, summary: Summary, spread_limit: float = SPREAD_LIMIT
) -> list[Verdict]:
    """A verdict for each row that the bound is on; FAIL if there is none."""
    rows = [row for row in summary.rows if bound.matches(row)]
    if not rows:
        return [
            Verdict(
                bound.name, Outcome.FAIL, bound=bound.text(), reason="missing row: none measured"
            )
        ]
    return [_judge_row(bound.on(summary, row), row, spread_limit) for row in rows]


def _judge_row(bound: Bound, row: Row, spread_limit: float) -> Verdict:
    what = f"{row.name}: {bound.comparison or bound.column}"
    if row.skipped:
        return Verdict(what, Outcome.SKIPPED, bound=bound.text(), reason=row.skipped, row=row)
    if bound.column:
        return _judge_count(bound, row, what)
    comparison = row.comparisons.get(bound.comparison)
    if comparison is None:
        return Verdict(
            what, Outcome.FAIL, bound=bound.text(), reason="missing: not compared", row=row
        )
    low, high = math.exp(comparison.low), math.exp(comparison.high)
    floor = bound.at_least if bound.at_least is not None else 0.0
    ceiling = bound.at_most if bound.at_most is not None else math.inf
    reason = ""
    if high < floor or low > ceiling:
        outcome = Outcome.FAIL
    elif floor <= low and high <= ceiling:
        outcome = Outcome.PASS
    else:
        outcome, reason = Outcome.INCONCLUSIVE, "the interval holds the bound"
    # Far from the bound, noise does not matter.
    if outcome is Outcome.FAIL and comparison.aa_spread > spread_limit:
        outcome = Outcome.INCONCLUSIVE
        reason = _noisy(comparison.aa_spread, spread_limit)
    return Verdict(
        what,
        outcome,
        f"{math.exp(comparison.log_ratio):.3f}×",
        f"{low:.3f}–{high:.3f}",
        bound.text(),
        reason,
        row,
    )


def _judge_count(bound: Bound, row: Row, what: str) -> Verdict:
    text = row.values.get(bound.column, "")
    try:
        value = float(text)
    except ValueError:
        reason = f"missing: column {bound.column} holds {text!r}"
        return Verdict(what, Outcome.FAIL, bound=bound.text(), reason=reason, row=row)
    good = (bound.at_least is None or value >= bound.at_least) and (
        bound.at_most is None or value <= bound.at_most
    )
    missed = Outcome.WARN if bound.warn else Outcome.FAIL
    outcome = Outcome.PASS if good else missed
    return Verdict(what, outcome, text, "" if bound.warn else EXACT, bound.text(), row=row)


def judge_drift(bound: Bound, summary: Summary, baseline: Summary) -> list[Verdict]:
    """A verdict for each row that the bound is on and the baseline has too; it warns at most."""
    verdicts = []
    for row in summary.rows:
        old = baseline.row(row.table, row.key)
        if row.skipped or old is None or not bound.matches(row):
            continue
        texts = old.values.get(bound.column, ""), row.values.get(bound.column, "")
        what = f"{row.name}: {bound.column} beyond the baseline"
        try:
            was, now = map(float, texts)
        except ValueError:
            reason = f"missing: {bound.column} was {texts[0]!r} and is {texts[1]!r}"
            verdicts.append(Verdict(what, Outcome.FAIL, bound=bound.text(), reason=reason, row=row))
            continue
        assert bound.at_most is not None
        outcome = Outcome.PASS if now - was <= bound.at_most else Outcome.WARN
        verdicts.append(Verdict(what, outcome, f"{now - was:+.4g}", "", bound.text(), row=row))
    return verdicts


def judge_baseline(
    summary: Summary,
    baseline: Summary,
    comparison: str = "yardstick",
    spread_limit: float = SPREAD_LIMIT,
    every_row: bool = True,
    tolerance: float = TOLERANCE,
) -> list[Verdict]:
    """A verdict for each baseline row that has this comparison.

    tolerance: the share by which a ratio may be lower, at least. every_row: a row that was not
    measured now is a failure; otherwise it is left out."""
    verdicts = []
    for old in baseline.rows:
        if comparison not in old.comparisons:
            continue
        new = summary.row(old.table, old.key)
        if new is None:
            if every_row:
                verdicts.append(
                    Verdict(old.name, Outcome.FAIL, reason="missing row: the baseline has it")
                )
            continue
        if new.skipped:
            verdicts.append(Verdict(old.name, Outcome.SKIPPED, reason=new.skipped, row=new))
            continue
        verdicts.append(_against(old, new, comparison, spread_limit, tolerance))
    return verdicts


def _against(old: Row, new: Row, comparison: str, spread_limit: float, at_least: float) -> Verdict:
    was, now = old.comparisons[comparison], new.comparisons.get(comparison)
    if now is None:
        return Verdict(old.name, Outcome.FAIL, reason=f"missing: no {comparison} now", row=new)
    if now.against != was.against:
        reason = f"the baseline is against {was.against}, this run against {now.against}"
        return Verdict(old.name, Outcome.FAIL, reason=reason, row=new)
    change = now.log_ratio - was.log_ratio
    # Both runs have an error.
    half = math.hypot(now.log_ratio - now.low, was.log_ratio - was.low)
    spread = math.hypot(now.aa_spread, was.aa_spread)
    tolerance = max(math.log1p(at_least), SPREADS * spread)
    reason = ""
    if spread > spread_limit:
        outcome, reason = Outcome.INCONCLUSIVE, _noisy(spread, spread_limit)
    elif change + half < -tolerance:
        outcome = Outcome.FAIL
        reason = f"slower by {_percent(-change)} than the baseline"
    else:
        outcome = Outcome.PASS
    return Verdict(
        f"{new.name}: against the baseline",
        outcome,
        f"{math.exp(change):.3f}×",
        f"{math.exp(change - half):.3f}–{math.exp(change + half):.3f}",
        f"≥ {math.exp(-tolerance):.3f}×",
        reason,
        new,
        doubtful=outcome is Outcome.PASS and change - half < -tolerance,
    )


def _percent(log: float) -> str:
    return f"{100 * (1 - math.exp(-log)):.1f} %"


def _noisy(spread: float, limit: float) -> str:
    return f"noisy: A/A spread {100 * spread:.1f} % is above {100 * limit:.1f} %"
