"""The default model's logits are the same bits whatever computes them, and in any company."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from infeng import LLM, InfengError
from infeng.native import choose_tier

PROMPT = "The lighthouse stood on a rock in 1873, and"


def logits(llm: LLM, chunk: int) -> NDArray[np.float32]:
    """Of all the prompt's tokens, fed in chunks."""
    ids = llm.encode(PROMPT, raw=True)
    sequence = llm.engine.new_sequence()
    pieces = [ids[i : i + chunk] for i in range(0, len(ids), chunk)]
    rows = [llm.engine.step([(sequence, p, -1)], all_logits=True) for p in pieces]
    llm.engine.free_sequence(sequence)
    return np.concatenate(rows)


@pytest.fixture(scope="module")
def reference() -> Iterator[NDArray[np.float32]]:
    with LLM(threads=1) as llm:
        yield logits(llm, 1000)


@pytest.mark.parametrize("tier", ["scalar", "avx2", "avx512", "amx"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_tiers_and_threads(reference: NDArray[np.float32], tier: str, threads: int) -> None:
    try:
        choose_tier(tier)
    except (ValueError, RuntimeError) as e:
        pytest.skip(str(e))
    with LLM(threads=threads, force_path=tier) as llm:
        assert llm.engine.tier == tier and llm.engine.threads == threads
        for chunk in (1000, 5, 1):
            assert logits(llm, chunk).tobytes() == reference.tobytes()


def test_a_tier_that_the_cpu_lacks_is_refused() -> None:
    for tier in ("avx2", "avx512", "amx"):
        try:
            choose_tier(tier)
        except (ValueError, RuntimeError):
            with pytest.raises(InfengError, match=tier):
                LLM(force_path=tier)
            return
    pytest.skip("this CPU has every tier")


def test_any_company(reference: NDArray[np.float32]) -> None:
    with LLM() as llm:
        texts = ["Once", "A much longer text that is another one's", PROMPT, "x = 1"]
        ids = [llm.encode(t, raw=True) for t in texts]
        batch = [(llm.engine.new_sequence(), i, -1) for i in ids]
        assert llm.engine.step(batch)[2].tobytes() == reference[-1].tobytes()
