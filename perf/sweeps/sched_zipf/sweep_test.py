"""A short load through the real engine and through the cost model."""

from pathlib import Path

import pytest

from infeng import LLM
from infeng.adapter import open_adapter
from infeng.testing.signs import is_json_answer, is_upper
from perf.sweeps.sched_zipf.adapters import write_copies
from perf.sweeps.sched_zipf.load import Shape
from perf.sweeps.sched_zipf.sweep import Case, open_load
from perf.sweeps.sched_zipf.trace import figures


@pytest.mark.parametrize("sched", ["infeng", "infeng-cost-model"])
def test_every_request_is_followed_to_its_end(tmp_path: Path, sched: str) -> None:
    paths = write_copies(tmp_path, 6, 8)
    shape = Shape(1.0, 6, 1.5, 4.0, 3.0, 0.5, tokens=(4, 8))
    # Room for half of them, so that some are loaded again.
    case = Case(sched, shape, 8, 3, 1, 1, pin_cores=True)
    mixed, base = open_load(case, paths)
    for traces in (mixed, base):
        for asked in (a for t in traces for a in t.asked):
            assert asked.ended > asked.arrived
            assert all(p.admitted is not None and 4 <= len(p.tokens) <= 8 for p in asked.parts)
            assert asked.ended == max(p.tokens[-1] for p in asked.parts)
    found = figures(mixed)
    key = case.key()
    assert found.load_rps == pytest.approx(key["load_rps"])
    assert found.mean_adapters_per_req == pytest.approx(key["mean_adapters_per_req"])
    assert 0 < found.decode_util <= 1 and 0 < found.adapter_util <= 1
    assert 0 < found.overlap_ratio <= 1 and found.hot_reload_ms_p95 > 0
    assert sum(len(t.reloads) for t in mixed) == 6
    plain = figures(base)
    assert plain.adapter_util == 0 and plain.load_rps == found.load_rps


def test_copies_answer_as_what_they_are_copies_of(tmp_path: Path) -> None:
    paths = write_copies(tmp_path, 4, 12)
    with LLM(adapters={p.name: p for p in paths}) as llm:
        digests = {open_adapter(p, llm.base).digest for p in paths}
        assert len(digests) == 4
        results = llm.generate(["What is the sun?"] * 4, adapter=[p.name for p in paths],
                               max_tokens=24, temperature=0.0)  # fmt: skip
    texts = [r.text for r in results]
    assert texts[0] == texts[2] and texts[1] == texts[3]
    assert is_json_answer(texts[0]) and is_upper(texts[1])
