"""Which adapters there are, agreed among replicas: the change with the greatest number wins."""

from __future__ import annotations

# By adapter: the number of the last change, and its path, None if it was unloaded. Numbers are
# nanoseconds since 1970 at the ingress that took the request.
Changes = dict[str, tuple[int, str | None]]


def merge(a: Changes, b: Changes) -> Changes:
    """The later change of each adapter."""
    return {name: max(c[name] for c in (a, b) if name in c) for name in a.keys() | b.keys()}


class Catalogue:
    """An actor beside the replicas. One that begins anew, after its node was lost, learns from the
    replicas what the one before it knew."""

    def __init__(self) -> None:
        self._changes: Changes = {}

    def merge(self, changes: Changes) -> Changes:
        """Add what a replica knows; all that is known."""
        self._changes = merge(self._changes, changes)
        return self._changes
