"""Weights that follow from their names alone: the golden values' maker and the tests both make them.

No import but numpy, so that tools/golden can take this file as it is."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray


def uniform(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Values in -1 ... 1, the same everywhere: the raw stream of PCG64 is fixed by numpy's policy."""
    count = int(np.prod(shape))
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(count)
    return (
        ((raw >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1)
        .astype(np.float32)
        .reshape(shape)
    )


def weight(name: str, shape: tuple[int, ...], gemma: bool) -> NDArray[np.float32]:
    """A model's tensor by Hugging Face's name, of a size that keeps activations near 1.

    gemma: the family's norms multiply by 1 + weight."""
    values = uniform(name, shape)
    if name.endswith("norm.weight"):
        return values * np.float32(0.3) + np.float32(0 if gemma else 1)
    if name.endswith("bias"):
        return values * np.float32(0.5)
    if name == "model.embed_tokens.weight":
        return values
    scale = 2.0 if ("q_proj" in name or "k_proj" in name or "qkv" in name) else 1.0
    return values * np.float32(scale * (3 / shape[1]) ** 0.5)


def adapter(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A matrix of an adapter that changes logits visibly, of values that binary16 has."""
    values = uniform(name, shape) * np.float32((1.5 / shape[1]) ** 0.5)
    return values.astype(np.float16).astype(np.float32)


def prompt(length: int, vocab: int) -> list[int]:
    """Ids of a prompt."""
    raw = np.random.PCG64(7).random_raw(length)
    return [int(r % np.uint64(vocab)) for r in raw]
