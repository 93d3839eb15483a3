"""The scheduler: continuous batching over many adapters.

Each step computes the next token of every answer that is under way and, with the rest of its budget,
pieces of prompts, then drafts. Nothing that the scheduler does changes a token: logits do not depend
on the batch, so it is free to mix, cut, preempt, guess and reuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

from infeng.sched.drafts import Drafts
from infeng.sched.fair_queue import FairQueue
from infeng.sched.plan import Cut, Ended, Fork, Free, Plan, Row
from infeng.sched.prefix import PrefixCache
from infeng.sched.request import Limits, QueueFull, Request, TooLong
from infeng.sched.residency import Residency

_MARGIN = 1.25  # what drafts pay for a row is more than its cost, which is only known roughly


class Scheduler:
    """Decides; whoever owns it carries out plan(), then tells advance() what was sampled.

    Times are whatever the caller's clock says, in seconds. The same calls give the same plans."""

    def __init__(
        self, limits: Limits, residency: Residency | None = None, model: Hashable = None
    ) -> None:
        """model: what keys and values depend on besides adapter and tokens."""
        self.limits = limits
        self.adapters = residency or Residency()
        self.prefixes = PrefixCache(limits.page_tokens)
        self.running: list[Request] = []  # the most senior first
        self.waiting = FairQueue()
        self._model = model
        self._handles = 0
        self._orders = 0
        self._private_pages = 0  # claimed by running requests and not the prefix cache's
        self._sequences: list[Fork | Free | Cut] = []  # of the next plan
        self._ended: list[Ended] = []
        self.preemptions = 0
        # What a token adds to the time of a step, as a share of that of a step without any. Whoever
        # can measure it may say.
        self.token_cost = 0.1

    @property
    def pages_used(self) -> int:
        """Pages that running requests have claimed or the prefix cache holds."""
        return self._private_pages + self.prefixes.nodes

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do or to tell."""
        return not (self.running or len(self.waiting) or self._sequences or self._ended)

    def submit(self, request: Request, now: float) -> None:
        """Let a request wait. Raises QueueFull, TooLong; then it is as if it had not come."""
        # Both together: between two steps those wait too that the next one lets run.
        under_way = len(self.running) + len(self.waiting)
        if under_way >= self.limits.running + self.limits.queue:
            raise QueueFull(f"{under_way} requests are under way already")
        # The last token's keys and values are never needed.
        most = self.limits.pages_for(len(request.tokens) + request.max_new - 1)
        if most > self.limits.pages:
            raise TooLong(
                f"{len(request.tokens)} + {request.max_new} tokens take {most} pages of the KV "
                f"cache, which has {self.limits.pages}"
            )
        self._orders += 1
        request.order, request.arrival, request.prompt = self._orders, now, len(request.tokens)
        if self.limits.draft_tokens:
            request.drafts = Drafts(self.limits.draft_tokens)
        self.waiting.arrive(request.adapter)
        self.waiting.push(request)

    def finish(self, request: Request) -> None:
        """A request ends here: it is answered, or nobody wants it any more."""
        if request.done:
            return
        if request.handle is None:
            self.waiting.remove(request)
        else:
            self._stop(request)
        request.done = True
        self.waiting.depart(request.adapter)
        if request.version is not None:
            self.adapters.release(request.version)

    def plan(self, now: float) -> Plan:
        """What to do next. Its rows are empty if there is nothing to compute."""
        self._give_up(now)
        plan = Plan()
        rows = self._next_tokens(plan)
        mixed = self.limits.mixed_tokens if rows else self.limits.step_tokens
        budget = min(mixed, self.limits.step_tokens - len(rows))
        for request in self.running:
            if budget and request.pending > 1:
                budget -= self._add_row(rows, request, budget)
        budget = self._admit(rows, budget, now)
        self._draft(rows, budget)
        settled = self.settle()
        plan.sequences, plan.unloads, plan.rows = settled.sequences, settled.unloads, rows
        plan.ended, self._ended = self._ended, []
        plan.loads, self.adapters.loads = self.adapters.loads, []
        return plan

    def advance(self, plan: Plan, sampled: Sequence[Sequence[int]]) -> None:
        """A plan's rows have been computed. sampled: for each row that samples its next token and,
        while a token is what its draft has there, those that follow; none for the others."""
        for row, tokens in zip(plan.rows, sampled, strict=True):
            request = row.request
            if request.done:
                continue
            request.tokens += tokens
            accepted = max(0, len(tokens) - 1)
            request.computed = row.start + row.count + accepted
            if request.drafts is not None:
                request.drafts.gained(len(tokens))
                if row.draft:
                    request.drafts.tried(len(row.draft), accepted, row.price)
            if accepted < len(row.draft):
                self._sequences.append(Cut(row.handle, request.computed))
            self._cache(request)

    def settle(self) -> Plan:
        """What ended requests leave to be freed, as a plan without rows."""
        plan = Plan()
        plan.sequences, self._sequences = self._sequences, []
        plan.unloads, self.adapters.unloads = self.adapters.unloads, []
        return plan

    def drop_prefix(self) -> bool:
        """Forget the least recently used page that is only cached; False if there is none."""
        return self._evict()

    # Decisions, in the order of plan().

    def _give_up(self, now: float) -> None:
        for request in [*self.running, *self.waiting]:
            if request.deadline is not None and now >= request.deadline:
                self.finish(request)
                waited = now - request.arrival
                self._ended.append(Ended(request, "deadline", f"not done after {waited:.1f} s"))

    def _next_tokens(self, plan: Plan) -> list[Row]:
        rows: list[Row] = []
        for request in [*self.running]:
            if request.handle is None or request.pending != 1:
                continue  # preempted by one before it, or a prompt
            if self._claim_for_next(request, plan):
                self._add_row(rows, request, 1)
        return rows

    def _claim_for_next(self, request: Request, plan: Plan) -> bool:
        """Have a page for the next token, at the cost of juniors. False if it was preempted."""
        if self.limits.pages_for(request.computed + 1) <= request.pages:
            return True
        while self._free_pages() < 1 and not self._evict():
            victim = self.running[-1]
            self._preempt(victim)
            plan.preempted.append(victim)
            if victim is request:
                return False
        request.pages += 1
        self._private_pages += 1
        return True

    def _admit(self, rows: list[Row], budget: int, now: float) -> int:
        """Let requests run that wait; what they leave of the budget."""
        self.adapters.stop_draining()
        blocked: set[str | None] = set()
        while budget and len(self.running) < self.limits.running and len(self.waiting):
            # A preempted one has its adapter's content still: who waits for that to leave, or for a
            # newer one, waits for it to end.
            request = next(
                (r for r in self.waiting.heads() if r.version or r.adapter not in blocked), None
            )
            if request is None:
                break
            if not self._adapter_ready(request):
                blocked.add(request.adapter)
                continue
            if not self._start(request, now):
                break  # it gets the next pages; to pass it by would starve long prompts
            budget -= self._add_row(rows, request, budget)
        return budget

    def _draft(self, rows: list[Row], budget: int) -> None:
        """Let answers under way try how they may go on, with what others leave of a step."""
        if not self.limits.draft_tokens:
            return
        budget = min(budget, self.limits.mixed_tokens)
        cost = self.token_cost * sum(row.count for row in rows)
        # In tokens, those of this step being had for its whole time.
        price = _MARGIN * cost / (1 + cost)
        for i, row in enumerate(rows):
            request = row.request
            if budget < 1:
                return
            if request.drafts is None or not row.samples or row.count != 1:
                continue
            # The answer's last token is sampled, and its keys and values are never needed.
            left = request.prompt + request.max_new - len(request.tokens) - 1
            most = min(budget, left, self.limits.draft_tokens)
            draft = request.drafts.propose(request.tokens, most, price)
            draft = draft[: self._claim_for_draft(request, len(draft))]
            if draft:
                rows[i] = dataclasses.replace(row, draft=tuple(draft), price=price)
                budget -= len(draft)

    def _claim_for_draft(self, request: Request, wanted: int) -> int:
        """Have pages for so many tokens after the next one, if nobody misses them; for how many."""
        size = self.limits.page_tokens
        while request.computed + 1 + wanted > request.pages * size:
            # Each that runs can have its next page and nobody waits for one: none is preempted or
            # kept waiting for a draft.
            free = self._free_pages() + self.prefixes.evictable
            if len(self.waiting) or free <= len(self.running):
                return request.pages * size - request.computed - 1
            while self._free_pages() < 1:
                self._evict()
            request.pages += 1
            self._private_pages += 1
        return wanted

    def _adapter_ready(self, request: Request) -> bool:
        if request.adapter is None:
            return True
        version = request.version or self.adapters.current(request.adapter)
        if version is None or version.state == "failed":
            message = version.error if version else "it has been unloaded"
            self.finish(request)
            self._ended.append(Ended(request, "adapter", f"adapter {request.adapter!r}: {message}"))
            return False
        if request.version is not None:
            return True  # preempted: its adapter has stayed
        return self.adapters.want(version) and not version.draining

    def _start(self, request: Request, now: float) -> bool:
        """Make a waiting request run, if there are pages for what it has to compute."""
        root = self._root(request)
        path = self.prefixes.match(root, request.tokens, len(request.tokens) - 1)
        self.prefixes.hold(path)
        needed = self.limits.pages_for(len(request.tokens)) - len(path)
        # Leave some for those that run: preempting one as soon as this is in is for nothing.
        spare = -(-len(self.running) // 8)
        if needed + spare > self._free_pages() + self.prefixes.evictable:
            self.prefixes.release(root, path)
            return False
        while needed > self._free_pages():
            self._evict()
        self.waiting.remove(request)
        if request.adapter is not None and request.version is None:
            request.version = self.adapters.current(request.adapter)
            assert request.version is not None
            self.adapters.acquire(request.version)
        request.path = path
        request.pages = len(path) + needed
        request.computed = len(path) * self.limits.page_tokens
        self._private_pages += needed
        request.handle = self._fork(path[-1].handle if path else None, request.computed)
        if request.admitted is None:
            request.admitted, request.reused = now, request.computed
            self.prefixes.asked_tokens += len(request.tokens)
            self.prefixes.found_tokens += request.computed
            request.charged = request.computed
        at = sum(r.seniority < request.seniority for r in self.running)
        self.running.insert(at, request)
        return True

    def _add_row(self, rows: list[Row], request: Request, budget: int) -> int:
        assert request.handle is not None
        count = min(request.pending, budget)
        samples = count == request.pending
        rows.append(Row(request, request.handle, request.computed, count, samples))
        # Now, so that one adapter does not fill the step; what is computed anew costs nothing.
        tokens = max(0, request.computed + count - request.charged)
        request.charged += tokens
        self.waiting.charge(request.adapter, tokens)
        return count

    # Pages and sequences.

    def _free_pages(self) -> int:
        return self.limits.pages - self.pages_used

    def _evict(self) -> bool:
        handle = self.prefixes.evict()
        if handle is not None:
            self._sequences.append(Free(handle))
        return handle is not None

    def _fork(self, parent: int | None, length: int) -> int:
        self._handles += 1
        self._sequences.append(Fork(self._handles, parent, length))
        return self._handles

    def _root(self, request: Request) -> Hashable:
        version = request.version
        if version is None and request.adapter is not None:
            version = self.adapters.current(request.adapter)
        return self._model, version.digest if version else None

    def _cache(self, request: Request) -> None:
        """Offer a request's full pages to later ones."""
        size = self.limits.page_tokens
        assert request.handle is not None
        while not request.private_prefix and (len(request.path) + 1) * size <= request.computed:
            start = len(request.path) * size
            handle = self._handles + 1
            node = self.prefixes.insert(
                self._root(request), request.path, request.tokens[start : start + size], handle
            )
            if node is None:
                request.private_prefix = True
                return
            self._fork(request.handle, start + size)
            request.path.append(node)
            self._private_pages -= 1  # it is the cache's now

    def _stop(self, request: Request) -> None:
        """Take a running request's sequence and pages."""
        assert request.handle is not None
        self.running.remove(request)
        self._sequences.append(Free(request.handle))
        self._private_pages -= request.pages - len(request.path)
        self.prefixes.release(self._root(request), request.path)
        request.handle, request.pages, request.path, request.computed = None, 0, [], 0
        request.private_prefix = False

    def _preempt(self, request: Request) -> None:
        """Let a running request wait again; it will be computed anew, but for what is cached."""
        self._stop(request)
        request.preemptions += 1
        self.preemptions += 1
        self.waiting.push(request)
