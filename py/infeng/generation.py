"""Answers: how their tokens are chosen, what text they make, when they end."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from infeng.errors import InfengError, UsageError
from infeng.native import DecodeStream, argmax, logprobs, sample
from infeng.sched import Request

FinishReason = Literal["eos", "length", "stop"]


@dataclasses.dataclass(frozen=True)
class SamplingParams:
    """How tokens are chosen and when an answer ends.

    max_tokens: new tokens at most. temperature: 0 takes the likeliest token (greedy). top_k: 0
    is off. top_p: 1 is off. min_p: 0 is off. stop: texts that end an answer, not part of it.
    presence_penalty, frequency_penalty: taken off the logits of tokens that the answer has, once
    and for each time. repetition_penalty: divides the logits above 0, and multiplies those below,
    of tokens that prompt or answer have; 1 is off. logit_bias: (id, what is added). logprobs: how
    many of the likeliest tokens to tell with each token, None for none and not its own either.
    ignore_eos: go on to max_tokens.
    The defaults are what the default model's authors recommend. Raises UsageError."""

    max_tokens: int = 256
    temperature: float = 0.2
    top_k: int = 0
    top_p: float = 0.9
    min_p: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature <= 100, "from 0 to 100"),
            ("top_k", 0 <= self.top_k < 1 << 31, "0 (off) or greater"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("seed", 0 <= self.seed < 1 << 64, "from 0 to 2^64-1"),
            ("stop", all(self.stop), "without an empty text"),
            ("presence_penalty", abs(self.presence_penalty) <= 2, "from -2 to 2"),
            ("frequency_penalty", abs(self.frequency_penalty) <= 2, "from -2 to 2"),
            ("repetition_penalty", 0 < self.repetition_penalty <= 10, "above 0 and at most 10"),
            ("logit_bias", all(abs(b) <= 100 for _, b in self.logit_bias), "from -100 to 100"),
            ("logprobs", self.logprobs is None or 0 <= self.logprobs <= 20, "from 0 to 20"),
        ):
            if not good:
                raise UsageError(f"{name} is {getattr(self, name)!r}: it must be {expected}")

    @property
    def changes_logits(self) -> bool:
        """Whether logits are changed before a token is chosen."""
        return bool(
            self.presence_penalty
            or self.frequency_penalty
            or self.repetition_penalty != 1
            or self.logit_bias
        )


@dataclasses.dataclass(frozen=True)
class Event:
    """One new token. index: of the prompt. text: what it completes, maybe nothing. at: how many
    tokens of the answer came before.

    finish_reason: why the sequence ended with this token, None while it goes on. logprobs: if
    asked for, (id, natural logarithm of its probability before any parameter) of the token, then
    of the likeliest ones. error: why the answer was given up; there is no token then."""

    index: int
    id: int
    text: str
    finish_reason: FinishReason | None
    logprobs: list[tuple[int, float]] | None = None
    error: InfengError | None = None
    at: int = 0


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished answer. Times are of this sequence within its batch.

    ids: new tokens, the one that ended the answer too. text: without special tokens.
    ttft_ms: from the start to the first token. p95_ms: 95th percentile of the times from token
    to token. tokens_per_s: after the first token. proposed, accepted: tokens of drafts that were
    computed, and those of them that the answer has."""

    prompt_ids: list[int]
    ids: list[int]
    text: str
    finish_reason: FinishReason
    seed: int
    ttft_ms: float
    p95_ms: float
    tokens_per_s: float
    proposed: int = 0
    accepted: int = 0


class Constraint(Protocol):
    """What an answer must look like, as a set of tokens that may come next."""

    def allowed(self) -> NDArray[np.bool_]:
        """[vocab]: which tokens may come next."""

    def take(self, token: int) -> None:
        """A token has come."""


class Answer:
    """An answer under way. Its events go to `emit`, which the thread that steps calls."""

    def __init__(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        *,
        stream: DecodeStream,
        eos_ids: frozenset[int],
        index: int = 0,
        emit: Callable[[Event], None] | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        self.prompt = prompt
        self.params = params
        self.index = index
        self.ids: list[int] = []
        self.text = ""
        self.finish_reason: FinishReason | None = None
        self.events: deque[Event] = deque()
        self.emit = emit or self.events.append
        self.constraint = constraint
        self.request: Request | None = None  # once it is submitted
        self.proposed = self.accepted = 0  # tokens of drafts
        self._stream = stream
        self._eos_ids = eos_ids
        self._shown = 0
        self.started = time.perf_counter()
        self.times: list[float] = []

    def take(self, logits: NDArray[np.float32]) -> Event:
        """Choose the next token from its logits, float32 [vocab]."""
        p = self.params
        position = len(self.prompt) + len(self.ids)
        changed = self._change(logits)
        if p.temperature == 0:
            token = argmax(changed)
        else:
            token = sample(changed, p.temperature, p.top_k, p.top_p, p.min_p, p.seed, position)
        if self.constraint is not None:
            self.constraint.take(token)
        chances = None if p.logprobs is None else logprobs(logits, token, p.logprobs)
        at = len(self.ids)
        return Event(self.index, token, self._append(token), self.finish_reason, chances, at=at)

    def verify(self, logits: NDArray[np.float32], draft: Sequence[int]) -> Iterator[Event]:
        """The next token and, while tokens are those of the draft, the ones after it.

        logits: float32 [1 + draft][vocab], each row computed as if the draft before it were right.
        Each token is chosen as take() does it, so that they are those without a draft."""
        self.proposed += len(draft)
        for i, row in enumerate(logits):
            event = self.take(row)
            self.accepted += i > 0
            yield event
            if event.finish_reason is not None or event.id not in draft[i : i + 1]:
                return

    def _change(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        p = self.params
        if not p.changes_logits and self.constraint is None:
            return logits
        changed = logits.copy()
        if p.repetition_penalty != 1:
            seen = np.unique(np.array([*self.prompt, *self.ids], np.int64))
            values = changed[seen]
            factor = np.float32(p.repetition_penalty)
            changed[seen] = np.where(values > 0, values / factor, values * factor)
        if (p.presence_penalty or p.frequency_penalty) and self.ids:
            new, counts = np.unique(np.array(self.ids, np.int64), return_counts=True)
            changed[new] -= (p.presence_penalty + p.frequency_penalty * counts).astype(np.float32)
        for token, bias in p.logit_bias:
            changed[token] += np.float32(bias)
        if self.constraint is not None:
            changed[~self.constraint.allowed()] = -np.inf
        return changed

    def _append(self, token: int) -> str:
        """Add a token; the text that can be shown now."""
        self.ids.append(token)
        self.times.append(time.perf_counter())
        if token in self._eos_ids and not self.params.ignore_eos:
            self.finish_reason = "eos"
        else:
            self.text += self._stream.step(token)
            if len(self.ids) == self.params.max_tokens:
                self.finish_reason = "length"
        if self.finish_reason:
            self.text += self._stream.finish()
        self._cut_at_stop()
        return self._show()

    def _cut_at_stop(self) -> None:
        # A stop text may have begun in what is held back, never in what has been shown.
        found = [i for s in self.params.stop if (i := self.text.find(s, self._shown)) >= 0]
        if found:
            self.text = self.text[: min(found)]
            self.finish_reason = "stop"

    def _show(self) -> str:
        """The text not yet shown, without an end that may be the beginning of a stop text."""
        end = len(self.text)
        if self.finish_reason is None:
            for stop in self.params.stop:
                for n in range(min(len(stop) - 1, len(self.text) - self._shown), 0, -1):
                    if self.text.endswith(stop[:n]):
                        end = min(end, len(self.text) - n)
                        break
        piece = self.text[self._shown : end]
        self._shown = end
        return piece

    def result(self) -> Result:
        """What has been generated so far; an interrupted answer counts as one cut by length."""
        gaps = np.diff(self.times)
        ttft = self.times[0] - self.started if self.times else 0.0
        total = float(gaps.sum())
        return Result(
            prompt_ids=[int(i) for i in self.prompt],
            ids=self.ids,
            text=self.text,
            finish_reason=self.finish_reason or "length",
            seed=self.params.seed,
            ttft_ms=ttft * 1e3,
            p95_ms=float(np.percentile(gaps, 95) if len(gaps) else ttft) * 1e3,
            tokens_per_s=len(gaps) / total if total else len(self.times) / ttft if ttft else 0.0,
            proposed=self.proposed,
            accepted=self.accepted,
        )
