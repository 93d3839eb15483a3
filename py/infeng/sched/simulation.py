"""A simulated engine for tests of the scheduler: it counts pages and checks what it is told."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Any

from infeng.sched import Cut, Fork, Limits, Plan, Request, Residency, Row, Scheduler, Version


class SimulatedEngine:
    """Sequences as the tokens that they hold, pages by identity, adapters by name."""

    def __init__(self, limits: Limits, memory: int | None) -> None:
        self.limits = limits
        self.memory = memory
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
            elif isinstance(change, Cut):
                held, pages = self.sequences[change.handle], self.pages[change.handle]
                assert change.length < len(held), "nothing to give up"
                del held[change.length :]
                self._give(pages, self.limits.pages_for(change.length))
                # What is written next is nobody else's.
                assert change.length % size == 0 or self.users[pages[-1]] == 1
            else:
                del self.sequences[change.handle]
                self._give(self.pages.pop(change.handle), 0)
        for version in plan.unloads:
            self.resident.remove(version)

    def _give(self, pages: list[int], kept: int) -> None:
        while len(pages) > kept:
            page = pages.pop()
            self.users[page] -= 1
            if not self.users[page]:
                del self.users[page]

    def step(self, plan: Plan) -> list[list[int]]:
        assert len({row.handle for row in plan.rows}) == len(plan.rows)
        assert plan.tokens <= self.limits.step_tokens
        sampled: list[list[int]] = []
        for row in plan.rows:
            request, held = row.request, self.sequences[row.handle]
            assert row.count > 0 and len(held) == row.start
            version = request.version
            assert (version is None) == (request.adapter is None)
            assert version is None or version in self.resident, "an adapter that is not there"
            held += request.tokens[row.start : row.start + row.count]
            assert held == request.tokens[: len(held)]
            assert row.samples == (len(held) == len(request.tokens))
            assert row.samples or not row.draft
            assert len(row.draft) <= self.limits.draft_tokens
            sampled.append(self._verify(row, held))
            held += row.draft
            # The last token's keys and values are never needed, nor are those of drafts after it.
            assert len(held) < request.prompt + request.max_new
            pages = self.pages[row.handle]
            while len(pages) < self.limits.pages_for(len(held)):
                pages.append(self._take())
            assert len(pages) <= request.pages, "a page that nobody has claimed"
        return sampled

    def _verify(self, row: Row, held: list[int]) -> list[int]:
        """What the row samples."""
        if not row.samples:
            return []
        got = [next_token(row.request, held, self.memory)]
        for token in row.draft:
            if token != got[-1]:
                break
            got.append(next_token(row.request, held + got, self.memory))
        return got


def next_token(request: Request, held: list[int], memory: int | None = None) -> int:
    """A function of the adapter and all tokens, as with real weights. memory: of the last so many,
    but for one token of ten: the text goes round, until it does not."""
    digest = request.version.digest if request.version else ""
    chance = zlib.crc32(repr((digest, held)).encode())
    if memory is None or chance % 10 == 0:
        return chance % 50
    return zlib.crc32(repr((digest, held[-memory:])).encode()) % 50


class Simulation:
    """A scheduler that runs against the simulated engine; each step takes a second."""

    def __init__(
        self,
        limits: Limits,
        budget: int | None = None,
        load_steps: int = 2,
        memory: int | None = None,
    ) -> None:
        self.limits = limits
        self.scheduler = Scheduler(limits, Residency(budget))
        self.engine = SimulatedEngine(limits, memory)
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
