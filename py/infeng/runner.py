"""The runner: carries out the scheduler's plans with an engine, and turns logits into answers."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from infeng.adapter import Target
from infeng.errors import InfengError, InputError, native_errors
from infeng.generation import Answer, Event
from infeng.native import Engine
from infeng.sched import Cut, Fork, Limits, Plan, Request, Residency, Row, Scheduler, Version
from infeng.token_cost import TokenCost

T = TypeVar("T")
_NO_ADAPTER = -1
_loads = itertools.count(1)  # names of an engine's adapters are unique, and runners may share one


class AdapterSource(Protocol):
    """Where an adapter's matrices come from, each time that it is loaded."""

    @property
    def digest(self) -> str:
        """Of the content."""

    @property
    def bytes(self) -> int:
        """That it takes in memory."""

    def targets(self) -> list[Target]:
        """Its matrices. Raises InputError, also if the content is no longer that of `digest`."""


class TimedOut(InfengError):
    """A request was not done at its deadline."""


@dataclasses.dataclass
class Counters:
    """Sums since the start. busy_s: spent in steps, engine_s of it in the engine. draft_tokens:
    computed because they might follow, accepted_tokens of them did."""

    steps: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0
    draft_tokens: int = 0
    accepted_tokens: int = 0
    busy_s: float = 0.0
    engine_s: float = 0.0
    adapter_s: float = 0.0
    adapter_loads: int = 0


class Runner:
    """Answers requests, many at a time. Thread-safe: one thread steps, others submit and cancel.

    observe_stage: told when a stage, "decode" or "adapter", was at work, by the clock; for
    measurements."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        *,
        model: Hashable = None,
        adapter_bytes: int | None = None,
        adapter_threads: int = 1,
        adapter_thread_start: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """model: digest of what the engine computes. adapter_bytes: that adapters may take.
        adapter_thread_start: called in each thread that loads adapters."""
        self.engine = engine
        self.limits = limits
        self.counters = Counters()
        self.clock = clock
        self.scheduler = Scheduler(limits, Residency(adapter_bytes), model)
        self.observe_stage: Callable[[str, float, float], None] | None = None
        self._answers: dict[Request, Answer] = {}
        self._sources: dict[Version, AdapterSource] = {}
        self._engine_ids: dict[Version, int] = {}
        self._sequences: dict[int, int] = {}  # the engine's id of each handle
        # A row per request and per token of drafts; what is not used takes no memory.
        rows = limits.running + min(limits.running * limits.draft_tokens, limits.mixed_tokens)
        self._logits = np.empty((rows, engine.vocab_size), np.float32)
        self._token_cost = TokenCost(self.scheduler.token_cost)
        self._ids = 0
        self._loader = ThreadPoolExecutor(adapter_threads, "adapters", adapter_thread_start)
        # Guards the scheduler and the tables; never held while the engine computes.
        self._changed = threading.Condition(threading.RLock())
        self._stepping = threading.Lock()

    # Requests.

    def submit(
        self,
        answer: Answer,
        adapter: str | None = None,
        *,
        priority: int = 0,
        deadline: float | None = None,
    ) -> None:
        """Let an answer be made. deadline: by the clock. Raises QueueFull, TooLong, InputError."""
        with self._changed:
            if adapter is not None and self.scheduler.adapters.current(adapter) is None:
                raise unknown_adapter(adapter, self.scheduler.adapters.names)
            self._ids += 1
            request = Request(
                self._ids,
                [int(i) for i in answer.prompt],
                answer.params.max_tokens,
                adapter,
                priority,
                deadline,
            )
            self.scheduler.submit(request, self.clock())
            answer.request = request
            self._answers[request] = answer
            self._changed.notify_all()

    def cancel(self, answer: Answer) -> None:
        """Nobody wants an answer any more: what it holds is free before the next step."""
        with self._changed:
            request = answer.request
            if request is not None and self._answers.pop(request, None) is not None:
                self.scheduler.finish(request)
                self._changed.notify_all()

    # Adapters.

    def add_adapter(self, name: str, source: AdapterSource, *, load: bool = False) -> Version:
        """Make a content the one that new requests of a name get. Running ones keep theirs.

        load: at once, in this thread, so that errors come here. Raises InputError."""
        with self._changed:
            version = self.scheduler.adapters.register(name, source.digest, source.bytes)
            self._sources[version] = source
            wanted = load and not self.scheduler.adapters.want(version)
            if wanted and version in self.scheduler.adapters.loads:
                self.scheduler.adapters.loads.remove(version)
            else:
                wanted = False
        if wanted:
            self._load(version)
            if version.state == "failed":
                with self._changed:
                    self.scheduler.adapters.remove(name)
                    del self._sources[version]
                raise InputError(version.error)
        return version

    def adapter_work(self, work: Callable[[], T]) -> Future[T]:
        """Do something in a thread that loads adapters, e.g. open one and add it."""

        def observed() -> T:
            began = self.clock()
            try:
                return work()
            finally:
                if self.observe_stage is not None:
                    self.observe_stage("adapter", began, self.clock())

        return self._loader.submit(observed)

    def source(self, name: str) -> AdapterSource:
        """What an adapter that requests may name is loaded from. Raises InputError."""
        with self._changed:
            version = self.scheduler.adapters.current(name)
            if version is None:
                raise unknown_adapter(name, self.scheduler.adapters.names)
            return self._sources[version]

    def remove_adapter(self, name: str) -> bool:
        """Forget an adapter; False if there is none. Running requests keep it to their end."""
        with self._changed:
            known = self.scheduler.adapters.remove(name)
            self._changed.notify_all()
            return known

    def _load(self, version: Version) -> None:
        started, began = time.perf_counter(), self.clock()
        error, engine_id = "", _NO_ADAPTER
        try:
            targets = self._sources[version].targets()
            with native_errors(f"adapter {version.name!r}"):
                engine_id = self.engine.add_adapter(
                    f"{version.name}#{next(_loads)}",
                    [(t.layer, t.module, t.a, t.b, t.scale) for t in targets],
                )
        except (InfengError, MemoryError) as e:
            error = str(e) or "not enough memory"
        if self.observe_stage is not None:
            self.observe_stage("adapter", began, self.clock())
        with self._changed:
            self.counters.adapter_s += time.perf_counter() - started
            self.counters.adapter_loads += 1
            if error:
                self.scheduler.adapters.failed(version, error)
            else:
                self._engine_ids[version] = engine_id
                self.scheduler.adapters.loaded(version, version.bytes)
            self._changed.notify_all()

    # Stepping.

    def step(self) -> bool:
        """Do what is to be done next; False if there was nothing. Raises nothing but bugs."""
        with self._stepping:
            started = time.perf_counter()
            with self._changed:
                if self.scheduler.idle:
                    return False
                plan = self.scheduler.plan(self.clock())
                for ended in plan.ended:
                    self._fail(ended.request, _error_of(ended.reason, ended.message))
            self._change_sequences(plan)
            self._unload(plan)
            for version in plan.loads:
                self._loader.submit(self._load, version)
            if plan.rows:
                self._compute(plan)
            self.counters.busy_s += time.perf_counter() - started
            return bool(plan.rows or plan.ended or plan.sequences)

    def wait(self, timeout: float | None = None) -> None:
        """Sleep until something has been submitted, cancelled or loaded, or the time is over."""
        with self._changed:
            self._changed.wait(timeout)

    def wake(self) -> None:
        """End the sleep of wait()."""
        with self._changed:
            self._changed.notify_all()

    def run(self, done: Callable[[], bool]) -> None:
        """Step until done(), in this thread; another may step meanwhile."""
        while not done():
            if not self.step() and not done():
                self.wait(0.05)

    def settle(self) -> None:
        """Free what ended requests held, without beginning anything."""
        with self._stepping, self._changed:
            plan = self.scheduler.settle()
            self._change_sequences(plan)
            self._unload(plan)

    def drop_prefixes(self) -> None:
        """Forget all prefixes that no running request uses."""
        with self._changed:
            while self.scheduler.drop_prefix():
                pass
        self.settle()

    def close(self) -> None:
        """Give up all requests, and free what they, the cache and the adapters hold."""
        self._loader.shutdown(wait=True, cancel_futures=True)
        with self._changed:
            for answer in [*self._answers.values()]:
                self.cancel(answer)
            for name in self.scheduler.adapters.names:
                self.scheduler.adapters.remove(name)
        self.drop_prefixes()

    def _change_sequences(self, plan: Plan) -> None:
        for change in plan.sequences:
            if isinstance(change, Cut):
                self.engine.truncate_sequence(self._sequences[change.handle], change.length)
            elif not isinstance(change, Fork):
                self.engine.free_sequence(self._sequences.pop(change.handle))
            elif change.parent is None:
                self._sequences[change.handle] = self.engine.new_sequence()
            else:
                self._sequences[change.handle] = self.engine.fork_sequence(
                    self._sequences[change.parent], change.length
                )

    def _unload(self, plan: Plan) -> None:
        for version in plan.unloads:
            self.engine.remove_adapter(self._engine_ids.pop(version))
            if version.retired:
                self._sources.pop(version, None)

    def _item(self, row: Row, draft: Sequence[int]) -> tuple[int, NDArray[np.uint32], int]:
        request = row.request
        ids = request.tokens[row.start : row.start + row.count]
        adapter = _NO_ADAPTER if request.version is None else self._engine_ids[request.version]
        return self._sequences[row.handle], np.array([*ids, *draft], np.uint32), adapter

    def _compute(self, plan: Plan) -> None:
        drafts = [row.draft for row in plan.rows]
        items = [self._item(row, draft) for row, draft in zip(plan.rows, drafts)]
        rows = [1 + len(draft) for draft in drafts]  # of logits
        started, began = time.perf_counter(), self.clock()
        errors: dict[int, InfengError] = {}
        try:
            logits = self.engine.step(items, out=self._logits, logits_rows=rows)
        except Exception:
            drafts, rows = [()] * len(rows), [1] * len(rows)
            logits = self._each_alone(plan.rows, errors)
        self._count(plan, sum(map(len, drafts)), time.perf_counter() - started)
        sampled: list[list[int]] = []
        events: list[tuple[Answer, Event]] = []
        ends = list(itertools.accumulate(rows))
        for i, row in enumerate(plan.rows):
            sampled.append([])
            answer = self._answers.get(row.request)
            if not row.samples or i in errors:
                continue
            if answer is None:
                sampled[i].append(0)  # cancelled meanwhile
                continue
            try:
                for event in answer.verify(logits[ends[i] - rows[i] : ends[i]], drafts[i]):
                    sampled[i].append(event.id)
                    events.append((answer, event))
            except (ValueError, InfengError) as e:
                errors[i] = InputError(f"cannot choose a token: {e}")
            self.counters.new_tokens += len(sampled[i])
            self.counters.draft_tokens += len(row.draft)
            self.counters.accepted_tokens += max(0, len(sampled[i]) - 1)
        with self._changed:
            self.scheduler.token_cost = self._token_cost.value
            for i in errors:
                self.scheduler.finish(plan.rows[i].request)
            self.scheduler.advance(plan, sampled)
            for answer, event in events:
                if event.finish_reason is not None and answer.request is not None:
                    self.scheduler.finish(answer.request)
                    self._answers.pop(answer.request, None)
        for answer, event in events:
            answer.emit(event)
        with self._changed:
            for i, error in errors.items():
                self._fail(plan.rows[i].request, error)
        if self.observe_stage is not None:
            self.observe_stage("decode", began, self.clock())

    def _count(self, plan: Plan, drafts: int, seconds: float) -> None:
        self.counters.engine_s += seconds
        self.counters.steps += 1
        prompt = sum(row.count for row in plan.rows if row.count > 1)
        self.counters.prompt_tokens += prompt
        if self.limits.draft_tokens:
            whole = prompt == 0 and plan.tokens == len(plan.rows) + drafts
            self._token_cost.observe(len(plan.rows), drafts, seconds if whole else None)

    def _each_alone(self, rows: list[Row], errors: dict[int, InfengError]) -> NDArray[np.float32]:
        """A step that failed, row by row: whose fault it is fails alone. Without drafts, for it may
        be theirs."""
        for i, row in enumerate(rows):
            try:
                self.engine.step([self._item(row, ())], out=self._logits[i : i + 1])
            except MemoryError as e:
                errors[i] = InputError(str(e) or "not enough memory")
            except Exception as e:
                errors[i] = InputError(str(e.args[0] if e.args else e))
        return self._logits

    def _fail(self, request: Request, error: InfengError) -> None:
        answer = self._answers.pop(request, None)
        if answer is not None:
            answer.emit(Event(answer.index, -1, "", None, error=error))


def unknown_adapter(name: str, known: list[str]) -> InputError:
    """The error for a name that no adapter has."""
    return InputError(f"adapter {name!r} is not loaded; loaded: {', '.join(known) or 'none'}")


def _error_of(reason: str, message: str) -> InfengError:
    return TimedOut(message) if reason == "deadline" else InputError(message)
