"""An engine that computes nothing and takes as long as a formula says: for the scheduler alone."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cost:
    """Seconds: of a step, of each of its tokens, of each adapter in it; and of a load, per byte."""

    step: float = 0.012
    token: float = 0.0008
    adapter: float = 0.0002
    load_byte: float = 5e-9


class CostModelEngine:
    """What a Runner needs of an engine. Answers are token 1 for ever."""

    def __init__(self, vocab_size: int, cost: Cost = Cost()) -> None:
        self.vocab_size = vocab_size
        self._cost = cost
        self._lengths: dict[int, int] = {}
        self._adapters: set[int] = set()
        self._ids = itertools.count()

    def new_sequence(self) -> int:
        sequence = next(self._ids)
        self._lengths[sequence] = 0
        return sequence

    def fork_sequence(self, parent: int, length: int) -> int:
        if length > self._lengths[parent]:
            raise ValueError(f"sequence {parent} holds {self._lengths[parent]} tokens")
        sequence = self.new_sequence()
        self._lengths[sequence] = length
        return sequence

    def free_sequence(self, sequence: int) -> None:
        del self._lengths[sequence]

    def add_adapter(self, name: str, targets: Sequence[Any]) -> int:
        time.sleep(self._cost.load_byte * sum(a.nbytes + b.nbytes for _, _, a, b, _ in targets))
        adapter = next(self._ids)
        self._adapters.add(adapter)
        return adapter

    def remove_adapter(self, adapter: int) -> None:
        self._adapters.remove(adapter)

    def truncate_sequence(self, sequence: int, length: int) -> None:
        self._lengths[sequence] = length

    def step(
        self,
        batch: Sequence[tuple[int, NDArray[np.uint32], int]],
        out: NDArray[np.float32],
        logits_rows: Sequence[int] | None = None,
    ) -> NDArray[np.float32]:
        worn = {adapter for _, _, adapter in batch} - {-1}
        if not worn <= self._adapters:
            raise KeyError(f"no such adapter: {worn - self._adapters}")
        tokens = 0
        for sequence, ids, _ in batch:
            self._lengths[sequence] += len(ids)
            tokens += len(ids)
        cost = self._cost
        time.sleep(cost.step + cost.token * tokens + cost.adapter * len(worn))
        logits = out[: sum(logits_rows or [1] * len(batch))]
        logits[:] = 0
        logits[:, 1] = 1
        return logits
