"""A simulated engine for tests of the scheduler: it counts pages and checks what it is told."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Any

from infeng.sched import Fork, Limits, Plan, Request, Residency, Scheduler, Version


class SimulatedEngine:
    """Sequences as the tokens that they hold, pages by identity, adapters by name.

    The next token is a function of (digest of the adapter, all tokens), as with real weights."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.sequences: dict[int, list[int]] = {}
        self.pages: dict[int, list[int]] = {}
        self.users: Counter[int] = Counter()
        self.made = 0
        self.resident: set[Version] = set()

    def _take(self) -> int:
        self.made += 1
        self.users[self.made] = 1
        assert len(self.users) <= self.limits.pages, "more pages than there are"
        return self.made

    def change(self, plan: Plan) -> None:
        size = self.limits.page_tokens
        for change in plan.sequences:
            if isinstance(change, Fork):
                assert change.handle not in self.sequences
                assert change.length % size == 0
                parent = self.sequences[change.parent] if change.parent is not None else []
                assert change.length <= len(parent)
                shared = self.pages[change.parent] if change.parent is not None else []
                shared = shared[: change.length // size]
                self.users.update(shared)
                self.sequences[change.handle] = parent[: change.length]
                self.pages[change.handle] = [*shared]
            else:
                del self.sequences[change.handle]
                for page in self.pages.pop(change.handle):
                    self.users[page] -= 1
                    if not self.users[page]:
                        del self.users[page]
        for version in plan.unloads:
            self.resident.remove(version)

    def step(self, plan: Plan) -> list[int | None]:
        assert len({row.handle for row in plan.rows}) == len(plan.rows)
        assert plan.tokens <= self.limits.step_tokens
        sampled: list[int | None] = []
        for row in plan.rows:
            request, held = row.request, self.sequences[row.handle]
            assert row.count > 0 and len(held) == row.start
            version = request.version
            assert (version is None) == (request.adapter is None)
            assert version is None or version in self.resident, "an adapter that is not there"
            held += request.tokens[row.start : row.start + row.count]
            pages = self.pages[row.handle]
            while len(pages) < self.limits.pages_for(len(held)):
                pages.append(self._take())
            assert held == request.tokens[: len(held)]
            assert row.samples == (len(held) == len(request.tokens))
            sampled.append(next_token(request, held) if row.samples else None)
        return sampled


def next_token(request: Request, held: list[int]) -> int:
    digest = request.version.digest if request.version else ""
    return zlib.crc32(repr((digest, held)).encode()) % 50


class Simulation:
    """A scheduler that runs against the simulated engine; each step takes a second."""

    def __init__(self, limits: Limits, budget: int | None = None, load_steps: int = 2) -> None:
        self.limits = limits
        self.scheduler = Scheduler(limits, Residency(budget))
        self.engine = SimulatedEngine(limits)
        self.now = 0.0
        self.load_steps = load_steps
        self.loading: list[tuple[float, Version]] = []
        self.failing: set[str] = set()
        self.finished: list[Request] = []
        self.ended: list[tuple[Request, str]] = []
        self.plans: list[Plan] = []
        self._ids = 0

    def submit(
        self, tokens: list[int], max_new: int, adapter: str | None = None, **more: Any
    ) -> Request:
        self._ids += 1
        request = Request(self._ids, [*tokens], max_new, adapter, **more)
        self.scheduler.submit(request, self.now)
        return request

    def step(self) -> Plan:
        scheduler = self.scheduler
        for due, version in [*self.loading]:
            if due <= self.now:
                self.loading.remove((due, version))
                if version.name in self.failing:
                    scheduler.adapters.failed(version, "broken")
                else:
                    self.engine.resident.add(version)
                    scheduler.adapters.loaded(version, version.bytes)
        plan = scheduler.plan(self.now)
        self.engine.change(plan)
        self.loading += [(self.now + self.load_steps, v) for v in plan.loads]
        held = scheduler.adapters.held_bytes
        assert scheduler.adapters.budget is None or held <= scheduler.adapters.budget
        self.ended += [(e.request, e.reason) for e in plan.ended]
        sampled = self.engine.step(plan)
        scheduler.advance(plan, sampled)
        for row in plan.rows:
            if row.samples and len(row.request.tokens) - row.request.prompt == row.request.max_new:
                scheduler.finish(row.request)
                self.finished.append(row.request)
        assert scheduler.pages_used <= self.limits.pages
        self.plans.append(plan)
        self.now += 1
        return plan

    def run(self, steps: int = 10_000) -> None:
        for _ in range(steps):
            if self.scheduler.idle and not self.loading:
                return
            self.step()
        raise AssertionError("it does not come to an end")
