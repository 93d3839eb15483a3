"""What the converter reads a model from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from infeng.convert.config import ModelConfig


class Source(Protocol):
    """A checked model: its configuration, texts and weights in float32."""

    config: ModelConfig
    files: list[Path]  # those that make up the model, for their digests
    tokenizer_json: bytes
    chat_template: str

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Rows start ... stop-1 of a tensor of config.shapes(): [stop - start, K].

        A vector is one row. Raises InputError."""
        ...


def bfloat16_to_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The values of bfloat16 given as their bits, exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
