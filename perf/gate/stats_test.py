"""The estimate is right on average, its interval honest, and bad slices are named."""

import numpy as np
import pytest
from numpy.typing import NDArray

from perf.gate import stats
from perf.gate.stats import QUANTILE, Estimate, SampleError, check, median_error


def estimate(blocks: list[NDArray[np.float64]]) -> Estimate:
    return stats.estimate([stats.epoch(b) for b in blocks])


def epochs(
    random: np.random.Generator,
    ratio: float = 1.0,
    noise: float = 0.02,
    between: float = 0.0,
    count: int = 8,
    blocks: int = 16,
) -> list[NDArray[np.float64]]:
    made = []
    for _ in range(count):
        block = np.exp(random.normal(0, noise, (blocks, 4)))
        block[:, 1:3] *= ratio * np.exp(random.normal(0, between))
        made.append(block)
    return made


@pytest.mark.parametrize("between", [0.0, 0.02])
def test_the_interval_holds_the_truth(between: float) -> None:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        e = estimate(epochs(random, 1.3, between=between))
        hits += e.low <= np.log(1.3) <= e.high
    assert hits >= 300 * 0.90


@pytest.mark.parametrize("blocks", [1, 2, 16])
def test_the_fast_slices_are_a_quantile(blocks: int) -> None:
    (b,) = epochs(np.random.default_rng(6), count=1, blocks=blocks)
    wanted = np.log(np.quantile(b[:, 1:3], QUANTILE) / np.quantile(b[:, [0, 3]], QUANTILE))
    assert stats.epoch(b).ratio == pytest.approx(wanted)


def test_drift_cancels_within_a_block() -> None:
    # The machine slows by half over the run; ours and the reference are equal.
    steps = np.linspace(1.0, 1.5, 400).reshape(100, 4)
    e = estimate([steps, steps])
    assert abs(e.log_ratio) < 2e-3


def test_load_on_most_slices_does_not_move_it() -> None:
    random = np.random.default_rng(2)
    made = epochs(random)
    for block in made:
        hit = random.random(block.shape) < 0.6
        block[hit] *= 1 + random.exponential(0.5, hit.sum())
    assert abs(estimate(made).log_ratio) < 0.03


def test_the_spread_is_the_noise_of_ours_against_ours() -> None:
    random = np.random.default_rng(3)
    quiet = [estimate(epochs(random, noise=0.005)).aa_spread for _ in range(20)]
    loud = [estimate(epochs(random, noise=0.05)).aa_spread for _ in range(20)]
    assert 7 < np.mean(loud) / np.mean(quiet) < 13


def test_an_epochs_luck_is_part_of_the_spread() -> None:
    random = np.random.default_rng(4)
    even = np.mean([estimate(epochs(random)).aa_spread for _ in range(20)])
    lucky = np.mean([estimate(epochs(random, between=0.05)).aa_spread for _ in range(20)])
    assert lucky > 3 * even


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (np.zeros((0, 4)), "no block"),
        (np.ones((3, 2)), "4 slices"),
        (np.asarray([[1.0, 1.0, np.nan, 1.0]]), "NaN"),
        (np.asarray([[1.0, 1.0, -0.5, 1.0]]), "the clock stepped"),
        (np.asarray([[1.0, 0.0, 1.0, 1.0]]), "the clock stepped"),
        (np.asarray([[1.0, np.inf, 1.0, 1.0]]), "the clock stepped"),
    ],
)
def test_bad_slices_are_named(blocks: NDArray[np.float64], message: str) -> None:
    with pytest.raises(SampleError, match=message):
        check(blocks)
    with pytest.raises(SampleError, match=message):
        estimate([blocks])


@pytest.mark.parametrize("n", [8, 16, 17, 101])
def test_the_exact_bootstrap_is_the_drawn_one(n: int) -> None:
    random = np.random.default_rng(n)
    errors, drawn = [], []
    for _ in range(20):
        sample = random.normal(0, 1, n)
        medians = np.median(sample[random.integers(0, n, (4000, n))], axis=1)
        errors.append(median_error(sample))
        drawn.append(np.subtract(*np.quantile(medians, [0.8413, 0.1587])) / 2)
    assert 0.95 < np.mean(errors) / np.mean(drawn) < 1.25


def test_one_bad_epoch_does_not_hide_the_others_agreement() -> None:
    random = np.random.default_rng(5)
    sample = random.normal(0, 0.01, 8)
    sample[0] = -0.3
    assert median_error(sample) < 0.012
