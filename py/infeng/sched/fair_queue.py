"""Waiting requests: by priority, then fair over adapters, then first come first served.

Fairness is that of virtual token counters (Sheng et al., "Fairness in Serving Large Language
Models", 2024): each adapter is charged for the tokens it gets, and the least charged goes first. One
that was away begins at the least charge of those that are there, so that it cannot save up."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from infeng.sched.request import Request


class FairQueue:
    """Adapters are names, None is the base model."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, str | None], list[Request]] = {}
        self._charged: dict[str | None, int] = {}
        self._present: dict[str | None, int] = {}  # requests waiting or running
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def arrive(self, adapter: str | None) -> None:
        """A request of an adapter is there now; depart() tells its end."""
        if not self._present.get(adapter):
            least = min((self._charged[a] for a in self._present), default=0)
            self._charged[adapter] = max(self._charged.get(adapter, 0), least)
            self._present[adapter] = 0
        self._present[adapter] += 1

    def depart(self, adapter: str | None) -> None:
        self._present[adapter] -= 1
        if not self._present[adapter]:
            del self._present[adapter]
        if not self._present:
            self._charged.clear()

    def charge(self, adapter: str | None, tokens: int) -> None:
        """An adapter has got tokens."""
        self._charged[adapter] = self._charged.get(adapter, 0) + tokens

    def push(self, request: Request) -> None:
        """Let a request wait at its place by order of submission."""
        queue = self._waiting.setdefault((request.priority, request.adapter), [])
        bisect.insort(queue, request, key=lambda r: r.order)
        self._count += 1

    def remove(self, request: Request) -> None:
        key = request.priority, request.adapter
        self._waiting[key].remove(request)
        if not self._waiting[key]:
            del self._waiting[key]
        self._count -= 1

    def heads(self) -> Iterator[Request]:
        """The first request of each adapter, in the order in which they should run."""
        heads = [queue[0] for queue in self._waiting.values()]
        heads.sort(key=lambda r: (r.priority, self._charged.get(r.adapter, 0), r.order))
        return iter(heads)

    def __iter__(self) -> Iterator[Request]:
        for queue in self._waiting.values():
            yield from queue
