"""What a further token in a step costs on this machine, learned from steps as they come."""

from __future__ import annotations

_WEIGHT = 0.2  # of a new figure
_LEAST, _MOST = 0.01, 1.0


class TokenCost:
    """The time that a token adds to a step, as a share of the time of a step without any.

    Of two steps in a row that differ in their drafts only, the second but for a token of context
    does the same: so neither the growth of contexts nor the speed of the machine matters."""

    def __init__(self, value: float) -> None:
        """value: until something is known."""
        self.value = value
        self._before: tuple[int, int, float] | None = None

    def observe(self, tokens: int, drafts: int, seconds: float | None) -> None:
        """A step of so many next tokens and so many of drafts. None: it had something else too."""
        before, self._before = self._before, None
        if seconds is None:
            return
        self._before = (tokens, drafts, seconds)
        if before is None or before[0] != tokens or (before[1] == 0) == (drafts == 0):
            return
        plain, tried = sorted([before, self._before], key=lambda step: step[1])
        token_s = (tried[2] - plain[2]) / tried[1]
        empty_s = plain[2] - tokens * token_s
        found = token_s / empty_s if empty_s > 0 else _MOST
        # Whatever else the machine did may be in one of the times: a figure counts for so much only.
        found = min(max(found, self.value / 2, _LEAST), self.value * 2, _MOST)
        self.value *= (found / self.value) ** _WEIGHT
