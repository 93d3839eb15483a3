"""The columns of a trace that can be worked out by hand, one by one."""

import dataclasses
import itertools

import pytest

from perf.sweeps.sched_zipf.load import Shape, draw, without_adapters, zipf
from perf.sweeps.sched_zipf.trace import (
    Asked,
    Figures,
    Part,
    Trace,
    common,
    figures,
    lora_tax_pct,
    united,
)

# Ten seconds from 100 on; three requests.
TRACE = Trace(
    begin=100.0,
    end=110.0,
    asked=(
        # Two adapters: the second ran a second after the first and ended last.
        Asked(101.0, 104.0, (Part(101.1, (102.0, 103.0)), Part(102.1, (103.0, 104.0)))),
        # Ends after the window: its last two tokens are not of it.
        Asked(108.0, 112.0, (Part(108.5, (109.0, 110.0, 112.0)),)),
        # Given up at 115 without having run.
        Asked(109.0, 115.0, (Part(None, ()),)),
    ),
    reloads=((103.0, 103.2), (107.0, 107.6)),
    # 101.5-104 and 108.5-110 of the window: 4 s. Pieces meet and overlap.
    decode=((101.5, 102.0), (102.0, 103.5), (103.0, 104.0), (108.5, 112.0)),
    # 103-103.2 twice at once, 107-107.6, 109.5-110: 1.3 s, of which 0.2 + 0.5 s beside decode.
    adapter=((103.0, 103.2), (103.1, 103.2), (107.0, 107.6), (109.5, 111.0)),
)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("mean_adapters_per_req", 4 / 3),
        ("load_rps", 0.3),
        ("duration_s", 10.0),
        # 3, 4 and 6 s.
        ("p50_ms", 4000.0),
        ("p95_ms", 4000.0 + 0.9 * 2000),
        # 0.2 and 0.6 s.
        ("hot_reload_ms_p95", 200.0 + 0.95 * 400),
        # 102, 103, 103, 104, 109.
        ("tokens_per_s", 0.5),
        # 0.1, 0.5, 1.1 and, at least, 6 s.
        ("queue_ms_p95", 1100.0 + 0.85 * 4900),
        ("decode_util", 0.4),
        ("adapter_util", 0.13),
        ("overlap_ratio", 0.7 / 1.3),
    ],
)
def test_column(column: str, value: float) -> None:
    assert getattr(figures([TRACE]), column) == pytest.approx(value)


def test_windows_of_one_load_count_together() -> None:
    idle = Trace(0.0, 10.0, (Asked(1.0, 2.0, (Part(1.0, (1.5, 2.0)),)),), decode=((1.0, 2.0),))
    both = figures([TRACE, idle])
    assert both.duration_s == 20.0 and both.load_rps == pytest.approx(4 / 20)
    assert both.tokens_per_s == pytest.approx(7 / 20)
    assert both.decode_util == pytest.approx(5 / 20)
    assert both.p50_ms == pytest.approx(3500.0)  # of 1, 3, 4, 6 s


def test_lora_tax_is_of_busy_time() -> None:
    """Both loads are the same, so tokens/s are; with adapters it takes longer to make them."""
    mixed = figures([TRACE])
    base = dataclasses.replace(mixed, decode_util=0.3)
    # 0.5 tokens/s in 0.4 of the time are 1.25 a busy second; in 0.3, 1.667.
    assert lora_tax_pct(mixed, base) == pytest.approx(25.0)
    assert lora_tax_pct(mixed, mixed) == 0.0


def test_nothing_happened() -> None:
    with pytest.raises(ValueError, match="no request arrived"):
        figures([Trace(0.0, 1.0, ())])
    quiet: Figures = figures([Trace(0.0, 1.0, (Asked(0.0, 2.0, (Part(None, ()),)),))])
    assert quiet.tokens_per_s == quiet.decode_util == quiet.overlap_ratio == quiet.capacity == 0.0
    assert quiet.hot_reload_ms_p95 == 0.0


def test_spans() -> None:
    assert united([(5, 9), (1, 2), (2, 3), (6, 7)], 0, 8) == [(1, 3), (5, 8)]
    assert united([(0, 1), (9, 12)], 1, 9) == []
    assert common([(0, 2), (3, 6)], [(1, 4), (5, 9)]) == [(1, 2), (3, 4), (5, 6)]
    assert common([(0, 9)], []) == []


SHAPE = Shape(1.0, 8, 2.0, 50.0, 100.0, 2.0)


def test_the_load_is_what_its_knobs_say() -> None:
    asks, reloads = draw(SHAPE)
    assert draw(SHAPE) == (asks, reloads)
    assert len(asks) == pytest.approx(5000, rel=0.05)
    assert all(a.at < b.at < 100 for a, b in itertools.pairwise(asks))
    assert all(len(set(a.adapters)) == len(a.adapters) >= 1 for a in asks)
    assert sum(len(a.adapters) for a in asks) / len(asks) == pytest.approx(2.0, rel=0.05)
    assert len(reloads) == 50
    # As often as 1/k says, of requests with one adapter.
    single, _ = draw(dataclasses.replace(SHAPE, mean_adapters=1.0))
    share = sum(a.adapters == (0,) for a in single) / len(single)
    assert share == pytest.approx(zipf(1.0, 8)[0], rel=0.1)
    assert zipf(1.0, 3) == pytest.approx([6 / 11, 3 / 11, 2 / 11])
    assert zipf(0.0, 4) == pytest.approx([0.25] * 4)
    assert draw(dataclasses.replace(SHAPE, reload_s=0.0))[1] == []


def test_the_load_without_adapters_is_else_the_same() -> None:
    asks, _ = draw(SHAPE)
    for a, b in zip(asks, without_adapters(asks), strict=True):
        assert b.adapters == (None,) * len(a.adapters)
        assert (a.at, a.prompt, a.tokens) == (b.at, b.prompt, b.tokens)
