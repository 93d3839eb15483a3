import numpy as np
import pytest

from infeng.convert.quantize import dequantize_int8, quantize_int4, quantize_int8
from infeng.convert.source import bfloat16_to_float32


@pytest.mark.parametrize("group", [32, 64])
@pytest.mark.parametrize("magnitude", [1e-44, 1e-39, 1e-30, 1e-3, 1.0, 3e38])
def test_errors_are_at_most_half_a_step(group: int, magnitude: float) -> None:
    random = np.random.default_rng(1)
    weights = (random.uniform(-1, 1, (48, 192)) * magnitude).astype(np.float32)
    q, scales = quantize_int8(weights, group)
    scale = np.repeat(bfloat16_to_float32(scales), group, axis=1).astype(np.float64)
    assert np.abs(q.astype(np.int32)).max() <= 127
    error = np.abs(weights.astype(np.float64) - q * scale)
    # In the ordinary range the division itself is rounded too.
    assert (error <= scale / 2 * (1 + 1e-5)).all()
    # The scale is rounded up by less than one step of bfloat16.
    greatest = np.abs(weights.reshape(48, -1, group)).max(axis=-1).astype(np.float64)
    exact = greatest / 127
    value = bfloat16_to_float32(scales).astype(np.float64)
    assert (value >= exact * (1 - 1e-7)).all()
    assert (value <= exact * (1 + 1 / 128) + 2.0**-133).all()


def test_ties_go_to_even() -> None:
    weights = np.zeros((1, 32), np.float32)
    weights[0, :6] = [127, 0.5, 1.5, 2.5, -0.5, -1.5]
    q, scales = quantize_int8(weights, 32)
    assert bfloat16_to_float32(scales)[0, 0] == 1.0
    assert q[0, :6].tolist() == [127, 0, 2, 2, 0, -2]


def test_a_group_of_zeros_has_scale_zero() -> None:
    weights = np.zeros((2, 64), np.float32)
    weights[1, 40] = -3
    q, scales = quantize_int8(weights, 32)
    assert (scales == 0).tolist() == [[True, True], [True, False]]
    assert not q[0].any() and q[1, 40] == -127
    assert (dequantize_int8(q, scales, 32)[0] == 0).all()


@pytest.mark.parametrize("shift", [0.0, 0.05, -3.0])
def test_int4_errs_less_than_the_range_alone_would(shift: float) -> None:
    random = np.random.default_rng(2)
    weights = (random.standard_normal((48, 192)) * 0.03 + shift).astype(np.float32)
    blocks = quantize_int4(weights)
    assert blocks.q.max() <= 15
    groups = weights.reshape(48, -1, 32)
    low = groups.min(axis=-1, keepdims=True)
    step = (groups.max(axis=-1, keepdims=True) - low) / 15
    plain = np.square(np.rint((groups - low) / step) * step + low - groups).sum()
    assert np.square(blocks.weights() - weights).sum() < 0.9 * plain


def test_int4_keeps_what_four_bits_can_hold() -> None:
    random = np.random.default_rng(3)
    q = random.integers(0, 16, (16, 64)).astype(np.float32)
    q[:, ::32], q[:, 1::32] = 0, 15
    exact = q * np.float32(0.125) - np.float32(0.75)
    assert np.array_equal(quantize_int4(exact).weights(), exact)
    constant = np.full((16, 32), -0.25, np.float32)
    assert np.array_equal(quantize_int4(constant).weights(), constant)
