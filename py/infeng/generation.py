"""Generating: a batch of sequences, stepped together until each has ended."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from infeng.errors import UsageError, native_errors
from infeng.native import DecodeStream, Engine, argmax, sample

# Tokens of a prompt fed in one step: it bounds memory and the wait for Ctrl-C. No logit
# depends on it.
PREFILL_CHUNK = 256

FinishReason = Literal["eos", "length", "stop"]


@dataclasses.dataclass(frozen=True)
class SamplingParams:
    """How tokens are chosen and when an answer ends.

    max_tokens: new tokens at most. temperature: 0 takes the likeliest token (greedy). top_k: 0
    is off. top_p: 1 is off. min_p: 0 is off. stop: texts that end an answer, not part of it.
    The defaults are what the default model's authors recommend. Raises UsageError."""

    max_tokens: int = 256
    temperature: float = 0.2
    top_k: int = 0
    top_p: float = 0.9
    min_p: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature <= 100, "from 0 to 100"),
            ("top_k", 0 <= self.top_k < 1 << 31, "0 (off) or greater"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("seed", 0 <= self.seed < 1 << 64, "from 0 to 2^64-1"),
            ("stop", all(self.stop), "without an empty text"),
        ):
            if not good:
                raise UsageError(f"{name} is {getattr(self, name)!r}: it must be {expected}")


@dataclasses.dataclass(frozen=True)
class Event:
    """One new token. index: of the prompt. text: what it completes, maybe nothing.

    finish_reason: why the sequence ended with this token, None while it goes on."""

    index: int
    id: int
    text: str
    finish_reason: FinishReason | None


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished answer. Times are of this sequence within its batch.

    ids: new tokens, the one that ended the answer too. text: without special tokens.
    ttft_ms: from the start to the first token. p95_ms: 95th percentile of the times from token
    to token. tokens_per_s: after the first token."""

    prompt_ids: list[int]
    ids: list[int]
    text: str
    finish_reason: FinishReason
    seed: int
    ttft_ms: float
    p95_ms: float
    tokens_per_s: float


class Running:
    """A sequence of the engine that is being continued."""

    def __init__(
        self,
        sequence: int,
        stream: DecodeStream,
        *,
        feed: NDArray[np.uint32],
        length: int,
        params: SamplingParams,
        eos_ids: frozenset[int],
        adapter: int,
    ) -> None:
        """feed: tokens to compute, after which new ones follow. length: tokens that the engine
        already holds. adapter: the engine's id of it, -1 for none."""
        self.sequence = sequence
        self.adapter = adapter
        self.params = params
        self.ids: list[int] = []
        self.text = ""
        self.finish_reason: FinishReason | None = None
        self._stream = stream
        self._feed = feed
        self._position = length + len(feed)
        self._eos_ids = eos_ids
        self._shown = 0
        self._started = time.perf_counter()
        self._times: list[float] = []

    def next_chunk(self) -> tuple[int, NDArray[np.uint32], int]:
        """This sequence's entry of the next step's batch."""
        return self.sequence, self._feed[:PREFILL_CHUNK], self.adapter

    def take(self, logits: NDArray[np.float32]) -> tuple[int, str] | None:
        """Take the logits that follow next_chunk(): the new token and text, or None in a prompt."""
        self._feed = self._feed[PREFILL_CHUNK:]
        if len(self._feed):
            return None
        p = self.params
        if p.temperature == 0:
            token = argmax(logits)
        else:
            token = sample(logits, p.temperature, p.top_k, p.top_p, p.min_p, p.seed, self._position)
        self.ids.append(token)
        self._times.append(time.perf_counter())
        self._feed = np.array([token], np.uint32)
        self._position += 1
        if token in self._eos_ids:
            self.finish_reason = "eos"
        else:
            self.text += self._stream.step(token)
            if len(self.ids) == p.max_tokens:
                self.finish_reason = "length"
        if self.finish_reason:
            self.text += self._stream.finish()
        self._cut_at_stop()
        return token, self._show()

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

    def unfed(self, length: int) -> list[int] | None:
        """The answer's tokens that the engine, which holds `length`, has yet to compute.

        Without the one that ended the answer. None if the engine holds other tokens than those
        of the prompt and `text`."""
        missing = self._position - length
        if missing > 1 or not self.ids or self.finish_reason == "stop":
            return None
        return self.ids[-1:] if missing and self.finish_reason != "eos" else []

    def result(self, prompt_ids: Sequence[int]) -> Result:
        """What has been generated so far; an interrupted answer counts as one cut by length."""
        gaps = np.diff(self._times)
        ttft = self._times[0] - self._started if self._times else 0.0
        total = float(gaps.sum())
        return Result(
            prompt_ids=[int(i) for i in prompt_ids],
            ids=self.ids,
            text=self.text,
            finish_reason=self.finish_reason or "length",
            seed=self.params.seed,
            ttft_ms=ttft * 1e3,
            p95_ms=float(np.percentile(gaps, 95) if len(gaps) else ttft) * 1e3,
            tokens_per_s=len(gaps) / total if total else len(self._times) / ttft if ttft else 0.0,
        )


def step_until_done(engine: Engine, running: Sequence[Running]) -> Iterator[Event]:
    """Step all sequences as one batch until each has ended. Raises InputError."""
    while batch := [(i, r) for i, r in enumerate(running) if r.finish_reason is None]:
        with native_errors():
            logits = engine.step([r.next_chunk() for _, r in batch])
        for row, (index, r) in enumerate(batch):
            taken = r.take(logits[row])
            if taken is not None:
                yield Event(index, *taken, r.finish_reason)
