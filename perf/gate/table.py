"""The table that a gate prints, for people and for CI logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perf.gate.verdict import Outcome, Verdict

_HEADER = ("verdict", "measured", "interval", "bound", "what")
# The worst last, where a log is read first.
_ORDER = (Outcome.PASS, Outcome.SKIPPED, Outcome.WARN, Outcome.INCONCLUSIVE, Outcome.FAIL)


def table(verdicts: Sequence[Verdict]) -> str:
    """One line a verdict, columns aligned, the failures last."""
    ordered = sorted(verdicts, key=lambda v: _ORDER.index(v.outcome))
    lines = [_HEADER]
    for v in ordered:
        what = f"{v.what} ({v.reason})" if v.reason else v.what
        lines.append((v.outcome.value, v.measured or "-", v.interval or "-", v.bound or "-", what))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[4]])
        for line in lines
    )


def overall(verdicts: Sequence[Verdict]) -> Outcome:
    """The gravest of FAIL, INCONCLUSIVE, WARN and PASS; SKIPPED if all are."""
    outcomes = {v.outcome for v in verdicts}
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WARN, Outcome.PASS):
        if outcome in outcomes:
            return outcome
    return Outcome.SKIPPED


def closing(verdicts: Sequence[Verdict]) -> str:
    """One line: the outcome, how many of each, and what failed or is open."""
    outcome = overall(verdicts)
    counts = ", ".join(
        f"{n} {o.value}" for o in Outcome if (n := sum(v.outcome is o for v in verdicts))
    )
    named = [v.what for v in verdicts if v.outcome is outcome]
    tail = ""
    if outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WARN):
        tail = f": {named[0]}" + (f" and {len(named) - 1} more" if len(named) > 1 else "")
    return f"{outcome.value} ({counts}){tail}"


def conditions(meta: dict[str, Any]) -> str:
    """One line: on what, built how, under what load it was measured."""
    hardware, run, build = meta["hardware"], meta["run"], meta["build"]
    spread = run["aa_spread_pct"] or {"median": 0, "max": 0}
    return (
        f"{hardware['key']} ({hardware['model_name']}), {build['compiler']}, load "
        f"{run['load_average'][0]:.2f}–{run['load_average'][1]:.2f}, A/A spread "
        f"{spread['median']:.2f} % (median), {spread['max']:.2f} % (worst row), "
        f"{run['elapsed_s']:.0f} s"
    )
