"""float32 weights to int8 with a bfloat16 scale per group along K."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infeng.convert.source import bfloat16_to_float32

LARGEST = 127


def quantize_int8(
    weights: NDArray[np.float32], group: int
) -> tuple[NDArray[np.int8], NDArray[np.uint16]]:
    """Return (q, scales): weights[n, k] is near q[n, k] * scales[n, k // group].

    weights: [N, K], finite, K a multiple of group. q: [N, K] in -127 ... 127, rounded to
    nearest, ties to even. scales: [N, K / group], the bits of bfloat16: the greatest magnitude
    of the group / 127, rounded up so that q never needs clipping; 0 for a group of zeros."""
    n, k = weights.shape
    groups = weights.reshape(n, k // group, group)
    exact = np.abs(groups).max(axis=-1) / np.float32(LARGEST)
    # A magnitude so small that the division gives zero still needs the least scale there is.
    exact[(exact == 0) & groups.any(axis=-1)] = np.finfo(np.float32).smallest_subnormal
    bits = ((exact.view(np.uint32).astype(np.uint64) + 0xFFFF) >> 16).astype(np.uint16)
    divisor = bfloat16_to_float32(bits)[:, :, None]
    divisor[divisor == 0] = 1
    q = np.rint(groups / divisor)
    return q.astype(np.int8).reshape(n, k), bits


def dequantize_int8(
    q: NDArray[np.int8], scales: NDArray[np.uint16], group: int
) -> NDArray[np.float32]:
    """The weights that quantize_int8's result stands for: [N, K] float32."""
    scale = np.repeat(bfloat16_to_float32(scales), group, axis=1)
    return np.multiply(q, scale, dtype=np.float32)
