"""From slices of time to a speed ratio, its interval, and the noise of the run that it came from.

A block is four slices in the order ours, reference, reference, ours, so that what drifts
steadily meets both alike. Blocks lie in epochs: in each the processes are new, because where a
process's pages happen to lie makes it faster or slower for all its life."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959964
# Of a normal distribution's standard deviation, per median absolute deviation.
_MAD = 1.4826


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


def estimate(epochs: list[NDArray[np.float64]]) -> Estimate:
    """The estimate from epochs of blocks, each [n][4] seconds per unit of work.

    The ratio is the mean over epochs of the median over blocks. Its standard error is made of
    the blocks' (by bootstrap) and of what epochs differ beyond that; the A/A spread likewise,
    with ours against ours for the blocks."""
    for blocks in epochs:
        check(blocks)
    if not epochs:
        raise SampleError("no epoch was measured")
    logs = [np.log(blocks) for blocks in epochs]
    ratios = [(b[:, 1] + b[:, 2] - b[:, 0] - b[:, 3]) / 2 for b in logs]
    # Two slices instead of four: sqrt(2) the noise. Epochs change both sides' pages, so what
    # differs between them belongs to the spread too.
    nulls = [(b[:, 0] - b[:, 3]) / np.sqrt(2) for b in logs]
    center = float(np.mean([np.median(r) for r in ratios]))
    within = _within(ratios)
    between = _between(ratios, within)
    of_blocks = float(np.sqrt(np.mean(within**2) / len(epochs)))
    of_epochs = between / np.sqrt(len(epochs))
    of_nulls = float(np.sqrt(np.mean(_within(nulls) ** 2) / len(epochs)))
    # Blocks are many, epochs few.
    half = float(np.hypot(Z95 * of_blocks, _student(max(len(epochs) - 1, 1)) * of_epochs))
    return Estimate(
        log_ratio=center,
        low=center - half,
        high=center + half,
        stderr=float(np.hypot(of_blocks, of_epochs)),
        aa_spread=float(np.hypot(of_nulls, of_epochs)),
        blocks=sum(map(len, epochs)),
        epochs=len(epochs),
    )


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


def _within(samples: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The bootstrap standard error of each epoch's median."""
    errors = []
    for sample in samples:
        n = len(sample)
        if n == 1:
            errors.append(np.inf)
            continue
        weights, ordered = _resampled(n), np.sort(sample)
        variance = float(weights @ ordered**2 - (weights @ ordered) ** 2)
        # Never below half of what the spread itself implies: a few equal values prove no precision.
        mad = _MAD * float(np.median(np.abs(sample - np.median(sample))))
        errors.append(max(math.sqrt(max(variance, 0.0)), 0.5 * 1.2533 * mad / math.sqrt(n)))
    return np.asarray(errors)


def _between(samples: list[NDArray[np.float64]], within: NDArray[np.float64]) -> float:
    """The standard deviation of epochs beyond what their blocks' noise explains."""
    if len(samples) < 2:
        return 0.0
    medians = np.asarray([np.median(s) for s in samples])
    excess = float(medians.var(ddof=1) - np.mean(within**2))
    return float(np.sqrt(max(0.0, excess)))


# Student's t, 97.5 %, by degrees of freedom.
_T = (np.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def _student(freedom: int) -> float:
    return _T[freedom] if freedom < len(_T) else Z95 + 2.6 / freedom
