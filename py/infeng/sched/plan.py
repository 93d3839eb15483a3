"""What the scheduler asks of the engine for one step, as data."""

from __future__ import annotations

import dataclasses
from typing import Literal

from infeng.sched.request import Request
from infeng.sched.residency import Version


@dataclasses.dataclass(frozen=True)
class Fork:
    """A new sequence `handle` that shares the first `length` tokens of `parent`; empty if None."""

    handle: int
    parent: int | None
    length: int


@dataclasses.dataclass(frozen=True)
class Free:
    """The end of a sequence."""

    handle: int


@dataclasses.dataclass(frozen=True)
class Cut:
    """A sequence gives up all tokens but the first `length`."""

    handle: int
    length: int


@dataclasses.dataclass(frozen=True)
class Row:
    """tokens[start : start + count] of a request, to be appended to its sequence. samples: they
    are its last, so that the logits give the next one. draft: tokens that may follow, appended
    too; each one that is what was sampled gives one more. price: of a token of a draft, in tokens."""

    request: Request
    handle: int
    start: int
    count: int
    samples: bool
    draft: tuple[int, ...] = ()
    price: float = 0.0


@dataclasses.dataclass(frozen=True)
class Ended:
    """A request that is given up: its deadline passed, or its adapter cannot be loaded."""

    request: Request
    reason: Literal["deadline", "adapter"]
    message: str


@dataclasses.dataclass
class Plan:
    """To be carried out in this order: sequences, loads and unloads begun, then rows as one step."""

    sequences: list[Fork | Free | Cut] = dataclasses.field(default_factory=list)
    unloads: list[Version] = dataclasses.field(default_factory=list)
    loads: list[Version] = dataclasses.field(default_factory=list)
    rows: list[Row] = dataclasses.field(default_factory=list)
    ended: list[Ended] = dataclasses.field(default_factory=list)
    preempted: list[Request] = dataclasses.field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens that the step computes."""
        return sum(row.count + len(row.draft) for row in self.rows)
