"""Drafts: what a sequence may go on with, looked up in its own tokens, and whether trying pays.

A draft's tokens are computed as further rows of a step. Those that are what is sampled anyway are
tokens gained; the others cost their rows. Nothing here changes a token."""

from __future__ import annotations

from collections.abc import Sequence

_GRAM = 3  # tokens that must have occurred before
_BITS = 21  # of a token in a key
_MASK = (1 << _BITS * _GRAM) - 1
_TAX = 0.015  # of a token that each token may lose to drafts that fail
_START = 0.5  # tokens that may be lost at once
_MOST_SAVED = 4.0  # tokens gained that later drafts may lose, at most


class Drafts:
    """Of one request.

    An account in tokens keeps what is lost below a share of the answer: each token of the answer
    pays a little in, each accepted token one, and each row of a draft takes its price. While there
    is not enough in it, nothing is tried. Text that does not repeat itself so costs next to
    nothing, whatever its drafts are."""

    def __init__(self, most: int) -> None:
        """most: tokens of a draft."""
        self._most = most
        self._length = min(most, 2)
        self._account = _START
        self._after: dict[int, int] = {}  # of each run of _GRAM tokens: where its last one ended
        self._known = 0  # tokens that have gone into _key
        self._key = 0  # the last _GRAM of them

    def propose(self, tokens: Sequence[int], most: int, price: float) -> list[int]:
        """Up to `most` tokens that followed when the last ones were there before, maybe none.

        tokens: the same sequence each time, longer. price: of a row, in tokens."""
        place = self._look_up(tokens)
        count = min(most, self._length, int(self._account / price))
        if place is None or count < 1:
            return []
        draft = list(tokens[place : place + count])
        while len(draft) < count:  # it overlaps its own continuation: the text goes round
            draft.append(draft[place - len(tokens)])
        return draft

    def _look_up(self, tokens: Sequence[int]) -> int | None:
        """Where the last tokens, at an earlier place, end."""
        place = None
        for end in range(self._known + 1, len(tokens) + 1):
            self._key = (self._key << _BITS | tokens[end - 1]) & _MASK
            if end >= _GRAM:
                place = self._after.get(self._key)
                self._after[self._key] = end
        self._known = len(tokens)
        return place

    def gained(self, tokens: int) -> None:
        """So many tokens have come, with or without a draft."""
        self._account = min(self._account + _TAX * tokens, _MOST_SAVED)

    def tried(self, proposed: int, accepted: int, price: float) -> None:
        """A draft has been computed."""
        self._account = min(self._account + accepted - proposed * price, _MOST_SAVED)
        longer = 2 * self._length if accepted == proposed else accepted + 2
        self._length = min(longer, self._most)
