"""How fast a model reads prompts and writes answers, as tokens per second of engine steps.

Token ids are random, since their values do not change the work; no token is sampled. So the figures compare with
those of llama.cpp's llama-bench."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from infeng.errors import UsageError, native_errors
from infeng.llm import LLM

_NO_ADAPTER = -1


def prefill(llm: LLM, tokens: int) -> float:
    """Tokens per second of reading a prompt of so many, in steps as the scheduler makes them.

    Raises UsageError if the context is shorter."""
    ids = _ids(llm, tokens)
    with _sequence(llm) as sequence:
        started = time.perf_counter()
        _feed(llm, sequence, ids)
        return tokens / (time.perf_counter() - started)


def decode(llm: LLM, tokens: int, depth: int = 0, batch: int = 1) -> float:
    """Tokens per second of writing so many after each of `batch` contexts of `depth` tokens.

    Raises UsageError if the context is shorter."""
    ids = _ids(llm, depth + tokens)
    with _sequence(llm) as first, contextlib.ExitStack() as stack:
        _feed(llm, first, ids[:depth])
        sequences = [stack.enter_context(_sequence(llm, first, depth)) for _ in range(batch)]
        logits = np.empty((batch, llm.engine.vocab_size), np.float32)
        started = time.perf_counter()
        for i in range(depth, depth + tokens):
            llm.engine.step([(s, ids[i : i + 1], _NO_ADAPTER) for s in sequences], out=logits)
        return batch * tokens / (time.perf_counter() - started)


def _ids(llm: LLM, count: int) -> NDArray[np.uint32]:
    room = llm.config.max_position_embeddings
    if count > room:
        raise UsageError(f"{count} tokens do not fit the model's context of {room}")
    random = np.random.default_rng(0)
    return random.integers(0, llm.engine.vocab_size, count, np.uint32)


def _feed(llm: LLM, sequence: int, ids: NDArray[np.uint32]) -> None:
    step = llm.runner.limits.step_tokens
    with native_errors(str(llm.path)):
        for begin in range(0, len(ids), step):
            llm.engine.step([(sequence, ids[begin : begin + step], _NO_ADAPTER)])


@contextlib.contextmanager
def _sequence(llm: LLM, parent: int | None = None, length: int = 0) -> Iterator[int]:
    """A sequence that ends with the block: new, or one that shares its beginning."""
    engine = llm.engine
    if parent is not None and length > 0:
        sequence = engine.fork_sequence(parent, length)
    else:
        sequence = engine.new_sequence()
    try:
        yield sequence
    finally:
        engine.free_sequence(sequence)
