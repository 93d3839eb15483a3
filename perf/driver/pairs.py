"""Measures pairs of tasks in turns of a few milliseconds until the ratio is known well enough."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perf.driver.cores import Watch, choose_cores
from perf.driver.tasks import MeasureError, Program, Session, Task
from perf.gate.stats import Epoch, Estimate, SampleError, epoch, estimate


@dataclass(frozen=True)
class Plan:
    """How long to measure. Each pair gets at least min_epochs epochs of `blocks` blocks A B B A
    (two pairs each); more epochs until the A/A spread is below `precision`, or their limit or
    the budget is reached."""

    slice_s: float = 0.004
    # Sixteen give an epoch no less noise: most of it lies between epochs.
    blocks: int = 8
    min_epochs: int = 12
    max_epochs: int = 40
    precision: float = 0.0025
    budget_s: float = 240.0


FULL = Plan()
QUICK = Plan(budget_s=25.0)


@dataclass(frozen=True)
class Pair:
    """Ours against a reference. name: what messages call it. threads: cores to pin to."""

    name: str
    ours: Task
    reference: Task
    threads: int = 1


@dataclass
class Result:
    """What was measured of a pair."""

    pair: Pair
    epochs: list[NDArray[np.float64]] = field(default_factory=list)  # [blocks][4] s per unit
    counts: dict[str, float] = field(default_factory=dict)  # of ours, per iteration
    reference_counts: dict[str, float] = field(default_factory=dict)
    _said: list[Epoch] = field(default_factory=list)  # of the first epochs, which do not change

    def estimate(self) -> Estimate:
        """Raises MeasureError."""
        try:
            self._said += [epoch(blocks) for blocks in self.epochs[len(self._said) :]]
            return estimate(self._said)
        except SampleError as e:
            raise MeasureError(f"{self.pair.name}: {e}") from e

    def ours_s(self) -> NDArray[np.float64]:
        """Our slices: seconds per unit of work."""
        return np.concatenate([b[:, [0, 3]].ravel() for b in self.epochs])

    def reference_s(self) -> NDArray[np.float64]:
        return np.concatenate([b[:, [1, 2]].ravel() for b in self.epochs])


class _Epoch:
    """The programs while they run; a program is started when its first task needs it."""

    def __init__(self, iterations: dict[int, int]) -> None:
        self._sessions: dict[tuple[int, tuple[int, ...]], Session] = {}
        self._programs: list[Program] = []  # kept, so that ids stay unique
        self._iterations = iterations

    def session(self, program: Program, cores: tuple[int, ...]) -> Session:
        key = (id(program), cores)
        if key not in self._sessions:
            self._programs.append(program)
            self._sessions[key] = program.start(cores)
        return self._sessions[key]

    def seconds(
        self, task: Task, cores: tuple[int, ...], plan: Plan
    ) -> tuple[float, dict[str, float]]:
        session = self.session(task.program, cores)
        count = self._iterations.get(id(task)) or self._calibrate(task, session, plan)
        result = session.slice(task.name, count)
        return task.seconds(result), result.counts

    def warm(self, task: Task, cores: tuple[int, ...], plan: Plan) -> None:
        session = self.session(task.program, cores)
        if id(task) not in self._iterations:
            self._iterations[id(task)] = self._calibrate(task, session, plan)
        session.slice(task.name, self._iterations[id(task)])

    @staticmethod
    def _calibrate(task: Task, session: Session, plan: Plan) -> int:
        """How many iterations a slice has. The first call of a task also makes its data."""
        session.slice(task.name, 1)
        count = 1
        while True:
            seconds = session.slice(task.name, count).seconds("real") * count
            if seconds >= plan.slice_s / 2:
                return max(1, round(count * plan.slice_s / seconds))
            if count >= 1 << 30:
                raise MeasureError(f"{task.name}: {count} iterations take {seconds:g} s")
            count = min(count * 64, max(2 * count, int(count * plan.slice_s / max(seconds, 1e-9))))

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()


def measure(
    pairs: Sequence[Pair], plan: Plan, watch: Watch, say: Callable[[str], Any] | None = None
) -> list[Result]:
    """Measures all pairs, epoch by epoch. Raises MeasureError.

    say: told what happens, a line at a time; None is standard error in a terminal."""
    if say is None:
        say = (lambda line: print(line, file=sys.stderr)) if sys.stderr.isatty() else lambda _: None
    results = [Result(pair) for pair in pairs]
    iterations: dict[int, int] = {}
    started = time.monotonic()
    for number in range(plan.max_epochs):
        spent = time.monotonic() - started
        open_results = [r for r in results if not known(r, plan)]
        if not open_results or (number >= plan.min_epochs and spent > plan.budget_s):
            break
        say(
            f"epoch {number + 1}: {len(open_results)} of {len(results)} pairs, {spent:.0f} s so far"
        )
        _measure_epoch(open_results, plan, iterations, watch)
    return results


def known(result: Result, plan: Plan) -> bool:
    """Whether the epochs so far are enough."""
    if len(result.epochs) < plan.min_epochs:
        return False
    return result.estimate().aa_spread <= plan.precision


def _measure_epoch(
    results: list[Result], plan: Plan, iterations: dict[int, int], watch: Watch
) -> None:
    running = _Epoch(iterations)
    try:
        for result in results:
            pair = result.pair
            cores = choose_cores(pair.threads)
            watch.sample()
            for task in (pair.ours, pair.reference):
                running.warm(task, cores, plan)
            blocks = []
            for _ in range(plan.blocks):
                a1, result.counts = running.seconds(pair.ours, cores, plan)
                b1, result.reference_counts = running.seconds(pair.reference, cores, plan)
                b2, _ = running.seconds(pair.reference, cores, plan)
                a2, _ = running.seconds(pair.ours, cores, plan)
                blocks.append([a1, b1, b2, a2])
            result.epochs.append(np.asarray(blocks))
    finally:
        running.close()
