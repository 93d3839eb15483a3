"""What the converter reads a model from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from infeng.convert.config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Int4Blocks:
    """Weights in groups of 32 along K: weight(n, k) = q(n, k) * scale(n, k / 32) + minimum(n, k / 32).

    q: [N, K] uint8 in 0 ... 15. scales, minima: [N, K / 32] float16, finite."""

    q: NDArray[np.uint8]
    scales: NDArray[np.float16]
    minima: NDArray[np.float16]

    def weights(self) -> NDArray[np.float32]:
        """[N, K] float32."""
        groups = self.q.reshape(*self.scales.shape, -1).astype(np.float32)
        groups *= self.scales[..., None].astype(np.float32)
        groups += self.minima[..., None].astype(np.float32)
        return groups.reshape(self.q.shape)


class Source(Protocol):
    """A checked model: its configuration, texts and weights in float32."""

    config: ModelConfig
    family: str  # for people
    files: list[Path]  # those that make up the model, for their digests
    tokenizer_json: bytes
    chat_template: str

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Rows start ... stop-1 of a tensor of config.shapes(): [stop - start, K].

        A vector is one row. Raises InputError."""
        ...

    def int4(self, name: str, start: int, stop: int) -> Int4Blocks | None:
        """The same rows of a matrix as the source has them, if it has them in such groups."""
        ...


def bfloat16_to_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The values of bfloat16 given as their bits, exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
