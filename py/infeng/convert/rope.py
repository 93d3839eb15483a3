"""The scalings of the rotary embedding, each as a factor per frequency and one for the result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from infeng.jsontext import Fields, short

TYPES = ("default", "linear", "dynamic", "llama3", "yarn", "longrope")


@dataclasses.dataclass(frozen=True)
class Rope:
    """angle(position, i) = position * theta^(-2 i / head_dim) / factors[i]; cosine and sine are
    multiplied by attention_factor.

    factors: [head_dim / 2], or () where all are 1. context: the positions that it is for."""

    theta: float
    context: int
    factors: tuple[float, ...] = ()
    attention_factor: float = 1.0


def make_rope(
    f: Fields, theta: float, head_dim: int, longest: int, original: int | None, context: int | None
) -> Rope:
    """The embedding that rope_scaling (rope_parameters) describes.

    longest: max_position_embeddings. original: the key original_max_position_embeddings beside
    the object, which goes before the one in it. context: the positions wanted, None: what the
    model has without a scaling that depends on the length. Raises InputError."""
    kind = f.get("rope_type", str, f.get("type", str, "default"))
    kind = {"su": "longrope", "none": "default"}.get(kind, kind)
    if kind not in TYPES:
        raise f.fail(
            "rope_type", f"{short(kind)} is not supported, only {', '.join(map(repr, TYPES))} are"
        )
    f.refuse("partial_rotary_factor", 1, 1.0)
    if original is None:
        original = f.positive("original_max_position_embeddings", longest)
    most = longest
    if kind == "dynamic":
        most = min(round(longest * _factor(f)), 1 << 24)
    if context is not None and not 0 < context <= most:
        raise f.fail("rope_type", f"{kind!r}: a context of {context} is not in 1 ... {most}")
    if kind == "dynamic":
        return Rope(theta, context or longest, _dynamic(f, head_dim, longest, context or longest))
    if kind == "longrope":
        return _longrope(f, theta, head_dim, longest, original, context or min(original, longest))
    rope = Rope(theta, context or longest)
    if kind == "linear":
        factors = _rounded(_factor(f) for _ in range(head_dim // 2))
    elif kind == "llama3":
        factors = _llama3(f, theta, head_dim, original)
    elif kind == "yarn":
        factors = _yarn(f, theta, head_dim, original)
        rope = dataclasses.replace(rope, attention_factor=_yarn_attention(f, longest / original))
    else:
        factors = ()
    return dataclasses.replace(rope, factors=factors)


def _number(f: Fields, key: str, default: float | None = None) -> float:
    value = f.get(key, float) if default is None else f.get(key, float, default)
    if not (math.isfinite(value) and value > 0):
        raise f.fail(key, f"{value} is not positive and finite")
    return value


def _factor(f: Fields, default: float | None = None) -> float:
    factor = _number(f, "factor", default)
    if not 1 <= factor <= 1 << 16:
        raise f.fail("factor", f"{factor} is not in 1 ... {1 << 16}")
    return factor


def _rounded(factors: Iterable[float]) -> tuple[float, ...]:
    """To float32, so that the last bits of the mathematical library do not reach the file."""
    rounded = tuple(float(np.float32(x)) for x in factors)
    return () if all(x == 1 for x in rounded) else rounded


def _dynamic(f: Fields, head_dim: int, longest: int, context: int) -> tuple[float, ...]:
    # A longer sequence has a greater theta; here that of the longest one holds for all.
    factor = _factor(f)
    stretch = factor * max(context, longest) / longest - (factor - 1)
    if head_dim == 2:
        return ()
    return _rounded(stretch ** (2 * i / (head_dim - 2)) for i in range(head_dim // 2))


def _llama3(f: Fields, theta: float, head_dim: int, original: int) -> tuple[float, ...]:
    factor = _factor(f)
    low, high = _number(f, "low_freq_factor"), _number(f, "high_freq_factor")
    if low >= high:
        raise f.fail("high_freq_factor", f"{high} is not greater than low_freq_factor {low}")

    def scaled(i: int) -> float:
        turns = original * theta ** (-2 * i / head_dim) / (2 * math.pi)
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        return 1 / ((1 - smooth) / factor + smooth)

    return _rounded(scaled(i) for i in range(head_dim // 2))


def _yarn(f: Fields, theta: float, head_dim: int, original: int) -> tuple[float, ...]:
    factor = _factor(f)
    fast, slow = _number(f, "beta_fast", 32.0), _number(f, "beta_slow", 1.0)
    if theta <= 1:
        raise f.fail("rope_theta", f"{theta} is not greater than 1")

    def dimension(turns: float) -> float:
        return head_dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension(fast), dimension(slow)
    if f.get("truncate", bool, True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    if low == high:
        high += 0.001

    def scaled(i: int) -> float:
        ramp = min(max((i - low) / (high - low), 0.0), 1.0)
        return 1 / (ramp / factor + 1 - ramp)

    return _rounded(scaled(i) for i in range(head_dim // 2))


def _yarn_attention(f: Fields, ratio: float) -> float:
    given = f.get("attention_factor", float, None)
    if given is not None:
        return _number(f, "attention_factor")
    factor = _factor(f, max(ratio, 1.0))

    def scale(multiplier: float) -> float:
        return 0.1 * multiplier * math.log(factor) + 1 if factor > 1 else 1.0

    one, all_ = f.get("mscale", float, 0.0), f.get("mscale_all_dim", float, 0.0)
    return scale(one) / scale(all_) if one and all_ else scale(1.0)


def _longrope(
    f: Fields, theta: float, head_dim: int, longest: int, original: int, context: int
) -> Rope:
    # Up to the original length a model has short factors, beyond it long ones, for all positions.
    key = "long_factor" if context > original else "short_factor"
    values = f.get(key, list)
    good = len(values) == head_dim // 2 and all(
        type(v) in (int, float) and 1 / 1024 <= v < math.inf for v in values
    )
    if not good:
        raise f.fail(key, f"expected {head_dim // 2} positive numbers, found {short(values)}")
    factor = _number(f, "factor", longest / original)
    attention: Any = f.get("attention_factor", float, None)
    if attention is None:
        attention = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    elif not (math.isfinite(attention) and attention > 0):
        raise f.fail("attention_factor", f"{attention} is not positive and finite")
    return Rope(theta, context, _rounded(float(v) for v in values), attention)
