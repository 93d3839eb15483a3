"""Perplexity of a model on a text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from infeng.errors import InputError, UsageError, native_errors
from infeng.llm import LLM

_CHUNK = 128  # tokens whose logits are held at a time; no logit depends on it


@dataclasses.dataclass(frozen=True)
class Perplexity:
    """ppl: exp of the mean negative log-likelihood. scored: tokens in the mean. tokens: of the
    text. window: tokens. windows: how many."""

    ppl: float
    scored: int
    tokens: int
    window: int
    windows: int


def perplexity(
    llm: LLM,
    text: str,
    window: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    context: int = 1,
    windows: int | None = None,
) -> Perplexity:
    """Score a text in windows of `window` tokens that do not overlap.

    There is no BOS, every token of a window but its first `context` is scored, and what is left
    at the end, less than a window, is dropped. windows: at most so many. progress: told windows
    done and in all.
    Raises InputError for a text that is shorter than a window, UsageError for a bad window."""
    if not 2 <= window <= llm.config.max_position_embeddings:
        raise UsageError(
            f"--window {window}: must be from 2 to the model's context of "
            f"{llm.config.max_position_embeddings}"
        )
    with native_errors("text"):
        ids = llm.tokenizer.encode(text, add_special_tokens=False)
    count = min(len(ids) // window, windows or len(ids))
    if not count:
        raise InputError(f"text: {len(ids)} tokens do not fill a window of {window}")
    total = 0.0
    for i in range(count):
        progress(i, count)
        total += _window_loss(llm, ids[i * window : (i + 1) * window], context)
    progress(count, count)
    scored = count * (window - context)
    return Perplexity(math.exp(total / scored), scored, len(ids), window, count)


def _window_loss(llm: LLM, ids: NDArray[np.uint32], context: int) -> float:
    """The sum of negative log-likelihoods of ids[context:], in nats."""
    sequence = llm.engine.new_sequence()
    try:
        loss = 0.0
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            with native_errors():
                logits = llm.engine.step([(sequence, chunk, -1)], all_logits=True)
            following = ids[start + 1 : start + 1 + len(chunk)]
            unscored = max(0, context - 1 - start)
            loss += _loss(logits[unscored : len(following)], following[unscored:])
        return loss
    finally:
        llm.engine.free_sequence(sequence)


def _loss(logits: NDArray[np.float32], targets: NDArray[np.uint32]) -> float:
    highest = logits.max(axis=1)
    total = np.exp(logits - highest[:, None]).sum(axis=1, dtype=np.float64)
    chosen = logits[np.arange(len(targets)), targets].astype(np.float64)
    return float((np.log(total) + highest - chosen).sum())
