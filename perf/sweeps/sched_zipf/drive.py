"""Puts a load on a runner in real time, each stage on threads of its own, and keeps the trace."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from infeng.adapter import open_adapter
from infeng.errors import InfengError
from infeng.generation import Answer, Event, SamplingParams
from infeng.llm import LLM
from infeng.runner import Runner
from perf.driver.tasks import MeasureError
from perf.sweeps.sched_zipf.load import Ask, Reload
from perf.sweeps.sched_zipf.trace import Asked, Part, Span, Trace

clock = time.perf_counter  # also that of Answer.times
_LEAD_S = 0.05


def cores_of(decode: int, adapter: int) -> tuple[list[int], list[int]]:
    """CPUs for the two stages: apart from each other as far as there are enough."""
    allowed = sorted(os.sched_getaffinity(0))
    ring = [allowed[i % len(allowed)] for i in range(decode + adapter)]
    return ring[:decode], ring[decode:]


class Stages:
    """The decode stage's thread: steps a runner while there is work. A context manager."""

    def __init__(self, runner: Runner, cores: Sequence[int] | None) -> None:
        """cores: for the thread that steps; None leaves it where it is."""
        self._runner = runner
        self._cores = cores
        self._stop = False
        self._spans: dict[str, list[Span]] = {"decode": [], "adapter": []}
        self.error: BaseException | None = None
        runner.observe_stage = lambda stage, begin, end: self._spans[stage].append((begin, end))
        self._thread = threading.Thread(target=self._run, name="decode")

    def spans(self, stage: str) -> tuple[Span, ...]:
        """Since the last call."""
        found, self._spans[stage] = self._spans[stage], []
        return tuple(found)

    def _run(self) -> None:
        try:
            if self._cores is not None:
                os.sched_setaffinity(0, self._cores)
            while not self._stop:
                if not self._runner.step():
                    self._runner.wait(0.05)
        except BaseException as e:
            self.error = e

    def __enter__(self) -> Stages:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._runner.wake()
        self._thread.join()
        self._runner.observe_stage = None


class _Request:
    """A request under way."""

    def __init__(self, due: float, answers: list[Answer]) -> None:
        self.due = due
        self.answers = answers
        self.errors: list[InfengError] = []

    @property
    def done(self) -> bool:
        return bool(self.errors) or all(a.finish_reason is not None for a in self.answers)

    def observe(self, event: Event) -> None:
        """Told each event, in the thread that steps."""
        if event.error is not None:
            self.errors.append(event.error)

    def asked(self, given_up: float) -> Asked:
        complete = all(a.finish_reason is not None for a in self.answers)
        ended = max(a.times[-1] for a in self.answers) if complete else given_up
        parts = []
        for answer in self.answers:
            assert answer.request is not None
            parts.append(Part(answer.request.admitted, tuple(answer.times)))
        return Asked(self.due, ended, tuple(parts))


def drive(
    llm: LLM,
    runner: Runner,
    stages: Stages,
    names: Sequence[str],
    paths: Sequence[Path],
    asks: Sequence[Ask],
    reloads: Sequence[Reload],
    seconds: float,
    drain_s: float,
) -> Trace:
    """Let a load arrive in `seconds`, then wait for what is under way, `drain_s` at most.

    names, paths: of the adapters. Raises MeasureError if an answer failed."""
    prompts = {a.prompt: llm.encode(a.prompt) for a in asks}
    requests: list[_Request] = []
    loads: list[tuple[float, Future[float]]] = []
    stages.spans("decode"), stages.spans("adapter")
    begin = clock() + _LEAD_S

    def ask(what: Ask) -> None:
        params = SamplingParams(max_tokens=what.tokens, temperature=0.0, ignore_eos=True)
        request = _Request(begin + what.at, [])
        for adapter in what.adapters:
            answer = llm.answer(prompts[what.prompt], params)
            answer.emit = request.observe
            runner.submit(answer, None if adapter is None else names[adapter])
            request.answers.append(answer)
        requests.append(request)

    def reload(what: Reload) -> None:
        def load() -> float:
            source = open_adapter(paths[what.adapter], llm.base)
            runner.add_adapter(names[what.adapter], source, load=True)
            return clock()

        loads.append((begin + what.at, runner.adapter_work(load)))

    events: list[tuple[float, Callable[[], None]]] = sorted(
        [(a.at, lambda a=a: ask(a)) for a in asks]
        + [(r.at, lambda r=r: reload(r)) for r in reloads],
        key=lambda event: event[0],
    )
    for at, act in events:
        _sleep_until(begin + at)
        act()
    end = begin + seconds
    _sleep_until(end)
    limit = end + drain_s
    while clock() < limit and stages.error is None:
        if all(r.done for r in requests) and all(f.done() for _, f in loads):
            break
        time.sleep(0.005)
    given_up = clock()
    for request in requests:
        for answer in request.answers:
            runner.cancel(answer)
    if stages.error is not None:
        raise MeasureError(f"the decode stage ended: {stages.error!r}")
    for error in (e for r in requests for e in r.errors):
        raise MeasureError(f"an answer failed: {error}")
    return Trace(
        begin,
        end,
        tuple(r.asked(given_up) for r in requests),
        tuple((at, future.result() if future.done() else given_up) for at, future in loads),
        stages.spans("decode"),
        stages.spans("adapter"),
    )


def _sleep_until(at: float) -> None:
    while (left := at - clock()) > 0:
        time.sleep(left)
