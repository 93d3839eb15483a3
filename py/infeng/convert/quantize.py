"""float32 weights to int8 or uint4 in groups along K."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infeng.convert.layout import INT4_GROUP
from infeng.convert.source import Int4Blocks, bfloat16_to_float32

LARGEST = 127
_INT4_LARGEST = 15


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


def quantize_int4(weights: NDArray[np.float32]) -> Int4Blocks:
    """The weights in groups of 32 with a scale and a minimum that make the squared error small.

    weights: [N, K], finite, K a multiple of 32. From several ranges around that of the group, each
    group's weights are rounded, scale and minimum fitted to them by least squares, put into
    binary16, and the weights rounded again; the best of these is taken. Groups beyond binary16's
    range give scales or minima that are not finite, which no reader takes."""
    n, k = weights.shape
    groups = weights.reshape(n, k // INT4_GROUP, INT4_GROUP)
    low = groups.min(axis=-1, keepdims=True)
    width = groups.max(axis=-1, keepdims=True) - low
    best: tuple[NDArray[np.float32], ...] | None = None
    least = np.full((*groups.shape[:2], 1), np.inf, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for steps in np.linspace(_INT4_LARGEST - 1, _INT4_LARGEST + 1.5, 11, dtype=np.float32):
            scale, minimum = _fit(groups, _rounded(groups, low, width / steps))
            scale = scale.astype(np.float16).astype(np.float32)
            minimum = minimum.astype(np.float16).astype(np.float32)
            q = _rounded(groups, minimum, scale)
            error = np.square(q * scale + minimum - groups).sum(axis=-1, keepdims=True)
            better = ~(error >= least)
            candidate = (q, scale, minimum)
            best = (
                candidate
                if best is None
                else tuple(np.where(better, c, b) for c, b in zip(candidate, best, strict=True))
            )
            least = np.where(better, error, least)
    assert best is not None
    q, scale, minimum = best
    return Int4Blocks(
        q.astype(np.uint8).reshape(n, k),
        scale[..., 0].astype(np.float16),
        minimum[..., 0].astype(np.float16),
    )


def _rounded(
    groups: NDArray[np.float32], minimum: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    steps = (groups - minimum) / np.where(scale == 0, np.float32(1), scale)
    return np.clip(np.rint(steps), 0, _INT4_LARGEST)


def _fit(
    groups: NDArray[np.float32], q: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale and minimum of each group by least squares; the mean where all q are one."""
    mean_q = q.mean(axis=-1, keepdims=True)
    mean = groups.mean(axis=-1, keepdims=True)
    spread = np.square(q - mean_q).sum(axis=-1, keepdims=True)
    covered = ((q - mean_q) * (groups - mean)).sum(axis=-1, keepdims=True)
    scale = covered / np.where(spread == 0, np.float32(1), spread)
    return scale, mean - scale * mean_q
