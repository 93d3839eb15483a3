"""How fast a model reads prompts and writes answers, as tokens per second of engine steps.

Token ids are random, since their values do not change the work; no token is sampled. So the figures compare with
those of llama.cpp's llama-bench. Several answers at a time have texts of their own: nothing is shared."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infeng.adapter import open_adapter
from infeng.errors import UsageError, native_errors
from infeng.llm import LLM

NO_ADAPTER = -1


@contextlib.contextmanager
def loaded(llm: LLM, adapters: Iterable[Path]) -> Iterator[list[int]]:
    """The engine's ids of adapters (PEFT folders or INFQ files) that are there for the block.

    Raises InputError."""
    ids: list[int] = []
    try:
        for path in adapters:
            targets = open_adapter(path, llm.base).targets()
            with native_errors(str(path)):
                matrices = [(t.layer, t.module, t.a, t.b, t.scale) for t in targets]
                ids.append(llm.engine.add_adapter(f"bench {len(ids)}", matrices))
        yield ids
    finally:
        for engine_id in ids:
            llm.engine.remove_adapter(engine_id)


def prefill(llm: LLM, tokens: int, adapter: int = NO_ADAPTER) -> float:
    """Tokens per second of reading a prompt of so many, in steps as the scheduler makes them.

    adapter: an id of loaded(). Raises UsageError if the context is shorter."""
    ids = _ids(llm, tokens)
    with contextlib.closing(_Sequence(llm)) as sequence:
        started = time.perf_counter()
        sequence.feed(ids, adapter)
        return tokens / (time.perf_counter() - started)


def decode(llm: LLM, tokens: int, depth: int = 0) -> float:
    """Tokens per second of writing so many after a text of `depth` tokens.

    Raises UsageError if the context is shorter."""
    with Contexts(llm, depth, 1) as contexts:
        return contexts.decode(tokens, 1)


class Contexts:
    """So many texts of `depth` tokens, each with keys and values of its own, to write after.

    A context manager."""

    def __init__(self, llm: LLM, depth: int, count: int) -> None:
        """Raises UsageError if the context is shorter."""
        self._llm, self._depth = llm, depth
        ids = _ids(llm, depth)
        with contextlib.ExitStack() as stack:
            self._texts = [
                stack.enter_context(contextlib.closing(_Sequence(llm))) for _ in range(count)
            ]
            for text in self._texts:
                text.feed(ids, NO_ADAPTER)
            self._stack = stack.pop_all()

    def __enter__(self) -> Contexts:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def decode(self, tokens: int, batch: int, adapters: Sequence[int] = (NO_ADAPTER,)) -> float:
        """Tokens per second, of all together, of writing so many after each of the first
        `batch` texts. adapters: ids of loaded() that these wear in turn.

        Raises UsageError if the context is shorter."""
        llm, depth = self._llm, self._depth
        ids = _ids(llm, depth + tokens)
        with contextlib.ExitStack() as stack:
            rows = [
                stack.enter_context(contextlib.closing(_Sequence(llm, text, depth))).id
                for text in self._texts[:batch]
            ]
            worn = [adapters[i % len(adapters)] for i in range(batch)]
            logits = np.empty((batch, llm.engine.vocab_size), np.float32)
            started = time.perf_counter()
            for i in range(depth, depth + tokens):
                step = [(row, ids[i : i + 1], adapter) for row, adapter in zip(rows, worn)]
                llm.engine.step(step, out=logits)
            return batch * tokens / (time.perf_counter() - started)


class _Sequence:
    """A sequence of the engine: new, or one that shares the beginning of another."""

    def __init__(self, llm: LLM, parent: _Sequence | None = None, length: int = 0) -> None:
        self._llm = llm
        self.id: int
        if parent is not None and length > 0:
            self.id = llm.engine.fork_sequence(parent.id, length)
        else:
            self.id = llm.engine.new_sequence()

    def feed(self, ids: NDArray[np.uint32], adapter: int) -> None:
        step = self._llm.runner.limits.step_tokens
        with native_errors(str(self._llm.path)):
            for begin in range(0, len(ids), step):
                self._llm.engine.step([(self.id, ids[begin : begin + step], adapter)])

    def close(self) -> None:
        self._llm.engine.free_sequence(self.id)


def _ids(llm: LLM, count: int) -> NDArray[np.uint32]:
    room = llm.config.max_position_embeddings
    if count > room:
        raise UsageError(f"{count} tokens do not fit the model's context of {room}")
    random = np.random.default_rng(0)
    return random.integers(0, llm.engine.vocab_size, count, np.uint32)
