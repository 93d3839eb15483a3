"""The load: requests that arrive whether or not earlier ones are done, and adapters by popularity."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

TOPICS = (
    "the sky", "a river", "bread", "the moon", "a bicycle", "music", "a volcano", "glass",
    "the wind", "a library", "salt", "a lighthouse", "snow", "a clock", "coffee", "a forest",
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """alpha: the k-th most popular of `adapters` adapters is asked k^-alpha times as often as the
    first. mean_adapters: of a request, which asks each of its adapters the same prompt; at least
    one. rps: requests a second, a Poisson process. reload_s: seconds between reloads, 0 for none.
    tokens: of an answer, evenly from the least to the greatest."""

    alpha: float
    adapters: int
    mean_adapters: float
    rps: float
    duration_s: float
    reload_s: float
    tokens: tuple[int, int] = (8, 32)
    seed: int = 1


@dataclass(frozen=True)
class Ask:
    """A request. at: seconds after the beginning. adapters: indices, None for the base model."""

    at: float
    prompt: str
    tokens: int
    adapters: tuple[int | None, ...]


@dataclass(frozen=True)
class Reload:
    """An adapter's content is replaced. at: seconds after the beginning."""

    at: float
    adapter: int


def zipf(alpha: float, count: int) -> NDArray[np.float64]:
    """The probabilities of `count` adapters, the most popular first."""
    weights = np.arange(1, count + 1, dtype=np.float64) ** -alpha
    return weights / weights.sum()


def draw(shape: Shape) -> tuple[list[Ask], list[Reload]]:
    """What happens in shape.duration_s seconds; the same for the same shape."""
    source = np.random.default_rng(shape.seed)
    chances = zipf(shape.alpha, shape.adapters)
    asks: list[Ask] = []
    at = source.exponential(1 / shape.rps)
    while at < shape.duration_s:
        number = min(1 + source.poisson(shape.mean_adapters - 1), shape.adapters)
        chosen = source.choice(shape.adapters, number, replace=False, p=chances)
        topic = TOPICS[int(source.integers(len(TOPICS)))]
        prompt = f"Tell me about {topic}, number {len(asks)}."
        tokens = int(source.integers(shape.tokens[0], shape.tokens[1] + 1))
        asks.append(Ask(float(at), prompt, tokens, tuple(map(int, chosen))))
        at += source.exponential(1 / shape.rps)
    reloads = []
    if shape.reload_s:
        times = np.arange(shape.reload_s / 2, shape.duration_s, shape.reload_s)
        reloads = [
            Reload(float(t), int(i))
            for t, i in zip(times, source.choice(shape.adapters, len(times), p=chances))
        ]
    return asks, reloads


def without_adapters(asks: list[Ask]) -> list[Ask]:
    """The same requests, asked of the base model."""
    return [replace(a, adapters=(None,) * len(a.adapters)) for a in asks]
