"""A request as the scheduler sees it, and the limits that it keeps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from infeng.errors import InfengError

if TYPE_CHECKING:
    from infeng.sched.drafts import Drafts
    from infeng.sched.prefix import Node
    from infeng.sched.residency import Version


class QueueFull(InfengError):
    """As many requests run and wait as may."""


class TooLong(InfengError):
    """A request that the KV cache could not hold even alone."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """pages: of the KV cache, of page_tokens tokens each. running: requests that a step may
    have. queue: requests that may be there beyond those. step_tokens: computed in one step at
    most. mixed_tokens: tokens of prompts and drafts in a step that has next tokens too, so that
    answers do not stall. draft_tokens: proposed to a request in a step at most, 0 for none."""

    pages: int
    page_tokens: int = 64
    running: int = 32
    queue: int = 256
    step_tokens: int = 256
    mixed_tokens: int = 64
    draft_tokens: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            least = 0 if field.name == "draft_tokens" else 1
            if getattr(self, field.name) < least:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}: at least {least}")
        if self.step_tokens < self.running:
            raise ValueError(
                f"step_tokens {self.step_tokens} is less than the {self.running} requests that "
                "may run: each has a token in a step"
            )

    def pages_for(self, tokens: int) -> int:
        """Pages that hold so many tokens."""
        return -(-tokens // self.page_tokens)


@dataclasses.dataclass(eq=False)
class Request:
    """One sequence to be continued.

    tokens: the prompt, then what has been generated. max_new: tokens it may get at most. adapter:
    a name, None for the base model. priority: the lower goes first. deadline: when it is given up,
    in the time that the scheduler is told; None never."""

    id: int
    tokens: list[int]
    max_new: int
    adapter: str | None = None
    priority: int = 0
    deadline: float | None = None

    # The scheduler's own.
    arrival: float = 0.0
    order: int = 0  # of submission
    prompt: int = 0  # tokens of the prompt
    computed: int = 0  # tokens whose keys and values are held
    reused: int = 0  # of them, found in the prefix cache at admission
    handle: int | None = None  # of the engine's sequence while it runs
    pages: int = 0  # claimed, shared ones too
    path: list[Node] = dataclasses.field(default_factory=list)  # pages shared with the cache
    private_prefix: bool = False  # another request has put the same tokens into the cache
    version: Version | None = None  # of the adapter, from the first admission on
    charged: int = 0  # tokens that its adapter has been charged for
    drafts: Drafts | None = None  # if there are any
    admitted: float | None = None  # when it first ran
    preemptions: int = 0
    done: bool = False

    @property
    def seniority(self) -> tuple[int, int]:
        """Who goes first and is preempted last."""
        return self.priority, self.order

    @property
    def pending(self) -> int:
        """Tokens to compute before the next one can be sampled."""
        return len(self.tokens) - self.computed
