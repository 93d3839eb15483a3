"""From slices of time to a speed ratio, its interval, and the noise of the run that it came from.

A block is four slices in the order ours, reference, reference, ours, so that what drifts
steadily meets both alike. Blocks lie in epochs: in each the processes are new, because where a
process's pages happen to lie makes it faster or slower for all its life.

What shares the machine only ever adds time, so of an epoch's slices the fast ones tell the speed: each
side's is the tenth percentile. On a machine with four times as many runnable processes as cores this
varied from epoch to epoch a fifth to a half as much as the median of the blocks' ratios."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959964
QUANTILE = 0.1
# Of a normal distribution: standard deviation per median absolute deviation, and the standard
# error of a median per that of a mean.
_MAD = 1.4826
_MEDIAN = 1.2533


class SampleError(ValueError):
    """Slices that no figure can be made of."""


@dataclass(frozen=True)
class Estimate:
    """The ratio reference time / our time, as natural logarithms: above 0, ours is faster."""

    log_ratio: float
    low: float  # 95 % interval
    high: float
    stderr: float
    aa_spread: float  # standard error that ours against ours has in this run
    blocks: int
    epochs: int

    @property
    def ratio(self) -> float:
        return float(np.exp(self.log_ratio))


def check(blocks: NDArray[np.float64]) -> None:
    """Raise SampleError unless blocks is [n][4] of positive, finite seconds."""
    if blocks.ndim != 2 or blocks.shape[1] != 4:
        raise SampleError(f"expected blocks of 4 slices, found an array of shape {blocks.shape}")
    if len(blocks) == 0:
        raise SampleError("no block was measured")
    if np.isnan(blocks).any():
        raise SampleError("a slice's time is NaN")
    if not np.isfinite(blocks).all() or (blocks <= 0).any():
        raise SampleError(
            f"a slice took {blocks.min():g} s: the clock stepped, or nothing was measured"
        )


@dataclass(frozen=True)
class Epoch:
    """What an epoch says: logarithms of reference over ours, and of ours over ours."""

    ratio: float
    null: float
    blocks: int


def epoch(blocks: NDArray[np.float64]) -> Epoch:
    """An epoch of blocks, [n][4] seconds per unit of work. Raises SampleError."""
    check(blocks)
    # Half the slices a side: sqrt(2) the noise.
    null = (_low(blocks[:, 3:]) - _low(blocks[:, :1])) / math.sqrt(2)
    return Epoch(_low(blocks[:, 1:3]) - _low(blocks[:, [0, 3]]), null, len(blocks))


def estimate(epochs: Sequence[Epoch]) -> Estimate:
    """The estimate from epochs. Raises SampleError if there are none.

    The ratio is the median over the epochs of their log-ratios; its standard error comes from a
    bootstrap over the epochs, its interval uses Student's t. The A/A spread is the standard
    error of the same figure made of ours alone (a block's first slice against its last), or that
    of the ratio if it is larger: an epoch's luck with pages shows only there."""
    if not epochs:
        raise SampleError("no epoch was measured")
    ratios = np.asarray([e.ratio for e in epochs])
    nulls = np.asarray([e.null for e in epochs])
    center, stderr = float(np.median(ratios)), median_error(ratios)
    half = student(len(epochs) - 1) * stderr
    return Estimate(
        log_ratio=center,
        low=center - half,
        high=center + half,
        stderr=stderr,
        aa_spread=max(stderr, median_error(nulls)),
        blocks=sum(e.blocks for e in epochs),
        epochs=len(epochs),
    )


def _low(slices: NDArray[np.float64]) -> float:
    ordered = np.sort(slices, axis=None)
    # As numpy's quantile, of which most would be overhead for so few.
    below, part = divmod(QUANTILE * (len(ordered) - 1), 1)
    low, high = ordered[int(below)], ordered[min(int(below) + 1, len(ordered) - 1)]
    return math.log(low + part * (high - low))


def median_error(sample: NDArray[np.float64]) -> float:
    """The bootstrap standard error of a sample's median; infinite for a single value.

    Half the width of the distribution's middle 68 %: one epoch in which the machine was busy
    must not make the others' agreement worthless, as it would with the standard deviation."""
    if len(sample) == 1:
        return math.inf
    low, high = _middle(sample, 0.6827)
    # Never below half of what the spread itself implies: a few equal values prove no precision.
    mad = _MAD * float(np.median(np.abs(sample - np.median(sample))))
    return max((high - low) / 2, 0.5 * _MEDIAN * mad / math.sqrt(len(sample)))


def _middle(sample: NDArray[np.float64], share: float) -> tuple[float, float]:
    """The ends of the middle `share` of the bootstrap distribution of the median."""
    n = len(sample)
    # A value's weight is spread evenly around its rank, so that the ends move smoothly.
    edges = np.concatenate([[0.0], np.cumsum(_resampled(n))])
    ranks = np.interp([(1 - share) / 2, (1 + share) / 2], edges, np.arange(n + 1) - 0.5)
    low, high = np.interp(ranks, np.arange(n), np.sort(sample))
    return float(low), float(high)


@functools.cache
def _resampled(n: int) -> NDArray[np.float64]:
    """How often the median of a bootstrap resample of n values is the k-th smallest of them.

    Exact, so nothing need be drawn (Efron 1979, section 3): it is at most the k-th with the
    probability that more than half of n draws fall on the k smallest."""
    at_most = np.zeros(n + 1)
    for k in range(n + 1):
        draws = [math.comb(n, i) * (k / n) ** i * (1 - k / n) ** (n - i) for i in range(n + 1)]
        # Of an even resample either middle value, which errs on the side of more noise.
        at_most[k] = (sum(draws[n // 2 + 1 :]) + sum(draws[(n + 1) // 2 :])) / 2
    return np.diff(at_most)


# 97.5 %, by degrees of freedom.
_T = (math.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def student(freedom: int) -> float:
    """Half-width of a 95 % interval in standard errors."""
    return _T[freedom] if freedom < len(_T) else Z95 + 2.6 / freedom
