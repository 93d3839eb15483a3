"""The gate: runs a sweep, judges it against bounds and baseline, prints the table.

A failure must show twice, in two runs of the sweep, and a row that is inconclusive or doubtful is
measured anew: at most `attempts` runs, of the rows in question only. Few rows get more epochs in the
same time, so what the first run leaves open the next ones settle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from infeng.errors import InfengError, InputError, UsageError
from perf.gate import baseline as store
from perf.gate.summary import Summary, check_comparable, check_csv, load
from perf.gate.verdict import (
    EXACT,
    SPREAD_LIMIT,
    TOLERANCE,
    Bound,
    Outcome,
    Verdict,
    judge_baseline,
    judge_bound,
    judge_drift,
)

# Runs in which a measured failure must show.
_FAILURES = 2
# The short form's budget where only some rows are measured again.
AGAIN_S = 10.0


@dataclass(frozen=True)
class CsvPair:
    """How two CSV files of separate runs are compared: --native and --python.

    join: columns that tell which rows belong together. value: the column of the rate. name: of
    the comparison, as bounds name it."""

    name: str
    join: tuple[str, ...]
    value: str


@dataclass(frozen=True)
class Rules:
    """What a gate demands."""

    name: str
    sweep: str
    bounds: tuple[Bound, ...]
    comparison: str = "yardstick"  # what is compared with the baseline; "" for nothing
    spread_limit: float = SPREAD_LIMIT
    attempts: int = 3
    pair: CsvPair | None = None
    tolerance: float = TOLERANCE


def read_rules(path: Path) -> Rules:
    """Rules as gate.bzl writes them."""
    data: dict[str, Any] = json.loads(path.read_text())
    return Rules(
        data["name"],
        data["sweep"],
        tuple(Bound(**b) for b in data["bounds"]),
        data["comparison"],
        data["spread_limit"],
        data["attempts"],
        CsvPair(**data["pair"]) if data.get("pair") else None,
        data["tolerance"],
    )


def judge(
    rules: Rules, summary: Summary, baseline: Summary | None, every_row: bool
) -> list[Verdict]:
    """All verdicts of one run. Raises InputError if the baseline is of something else."""
    verdicts = [
        v
        for bound in rules.bounds
        if not bound.drift
        for v in judge_bound(bound, summary, rules.spread_limit)
    ]
    if baseline is None:
        return verdicts
    if rules.comparison:
        check_comparable(summary, baseline)
        verdicts += judge_baseline(
            summary, baseline, rules.comparison, rules.spread_limit, every_row, rules.tolerance
        )
    for bound in rules.bounds:
        if bound.drift:
            verdicts += judge_drift(bound, summary, baseline)
    return verdicts


def read_run(folder: Path, sweep: str) -> Summary:
    """The summary in a folder, its CSV files checked against it. Raises InputError."""
    summary = load(folder / f"{sweep}_summary.json")
    if summary.sweep != sweep:
        raise InputError(f"{summary.path}: of sweep {summary.sweep!r}, expected {sweep!r}")
    for table in summary.meta["tables"]:
        if any(r.table == table and not r.skipped for r in summary.rows):
            check_csv(folder / f"{table}.csv", summary)
    return summary


def settle(
    rules: Rules,
    measure: Callable[[Sequence[str]], Summary],
    baselines: Sequence[Path],
    every_row: bool,
    say: Callable[[str], Any] = print,
) -> tuple[list[Verdict], Summary]:
    """Measures, and again what failed or is open; gives the verdicts and the first run.

    measure: runs the sweep for the named rows, [] for all."""
    first = measure([])
    path = store.find(baselines, first.hardware_key, rules.sweep) if rules.comparison else None
    baseline = load(path) if path else None
    verdicts = judge(rules, first, baseline, every_row)
    failures = Counter(v.what for v in verdicts if v.outcome is Outcome.FAIL)
    for attempt in range(2, rules.attempts + 1):
        # A failure that was seen twice stands; one without a row cannot be measured again.
        open_verdicts = {
            v.what: v
            for v in verdicts
            if v.row
            and (
                v.outcome is Outcome.INCONCLUSIVE
                or v.doubtful
                or (v.outcome is Outcome.FAIL and failures[v.what] < _FAILURES)
            )
            and v.interval != EXACT
        }
        if not open_verdicts:
            break
        names = sorted({v.row.name for v in open_verdicts.values() if v.row})
        say(f"run {attempt} of at most {rules.attempts}, for {len(names)} rows:")
        for v in open_verdicts.values():
            reason = "is doubtful" if v.doubtful else v.reason
            say(f"  {v.outcome.value} {v.what} {v.measured} {v.interval} {reason}")
        again = judge(rules, measure(names), baseline, every_row=False)
        verdicts = [_newer(v, again, open_verdicts) for v in verdicts]
        failures.update(
            v.what for v in verdicts if v.what in open_verdicts and v.outcome is Outcome.FAIL
        )
    if rules.comparison and not path:
        reason = f"no baseline of this hardware ({first.hardware_key})"
        verdicts.append(Verdict("against the baseline", Outcome.SKIPPED, reason=reason))
    return [_confirmed(v, failures, rules.attempts) for v in verdicts], first


def _confirmed(verdict: Verdict, failures: Counter[str], attempts: int) -> Verdict:
    """A measured failure that only the last of several runs had is not settled."""
    needed = min(_FAILURES, attempts)
    if (
        verdict.outcome is not Outcome.FAIL
        or not verdict.interval
        or verdict.interval == EXACT
        or failures[verdict.what] >= needed
    ):
        return verdict
    reason = f"{verdict.reason}, in the last of {attempts} runs only".lstrip(", ")
    return replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=reason)


def _newer(old: Verdict, again: Sequence[Verdict], open_verdicts: dict[str, Verdict]) -> Verdict:
    if old.what not in open_verdicts:
        return old
    for new in again:
        if new.what == old.what:
            return new
    return old


def run_sweep(
    program: Path,
    arguments: Sequence[str],
    folder: Path,
    sweep: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    again: Sequence[str] = (),
) -> Callable[[Sequence[str]], Summary]:
    """A `measure` for settle: runs the sweep's program into folders of its own.

    again: further arguments where only some rows are measured."""
    runs = 0

    def measure(only: Sequence[str]) -> Summary:
        nonlocal runs
        runs += 1
        out = folder / f"run{runs}"
        shutil.rmtree(out, ignore_errors=True)
        command = [str(program), *arguments, f"--out={out}", *(f"--only={name}" for name in only)]
        command += again if only else ()
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise InfengError(done.stderr.strip() or f"{program.name}: exit {done.returncode}")
        sys.stderr.write(done.stderr)
        return read_run(out, sweep)

    return measure


def described_build(program: Path) -> dict[str, Any]:
    """`_meta.build` as a run of the sweep's program would have it. Raises InfengError."""
    done = subprocess.run([str(program), "--describe"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InfengError(done.stderr.strip() or f"{program.name}: exit {done.returncode}")
    build: dict[str, Any] = json.loads(done.stdout)["build"]
    return build


def environment_flag(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


def overridden(rules: Rules) -> Rules:
    """Bounds that the environment overrides, by the names that their rules give.

    An override is printed. In CI (the variable CI is set) it may only tighten a bound.
    Raises UsageError."""
    bounds = []
    for bound in rules.bounds:
        text = os.environ.get(bound.environment, "") if bound.environment else ""
        if not text:
            bounds.append(bound)
            continue
        try:
            value = float(text)
        except ValueError as e:
            raise UsageError(f"{bound.environment}={text}: expected a number") from e
        if bound.at_least is not None:
            changed, looser = replace(bound, at_least=value), value < bound.at_least
        else:
            assert bound.at_most is not None
            changed, looser = replace(bound, at_most=value), value > bound.at_most
        if looser and environment_flag("CI"):
            raise UsageError(
                f"{bound.environment}={text} loosens the bound {bound.text()}, "
                "which CI does not allow"
            )
        print(f"{bound.environment}={text} overrides the bound {bound.text()} of {bound.name}")
        bounds.append(changed)
    return replace(rules, bounds=tuple(bounds))
