"""The inputs that coverage-guided fuzzing has kept, and the good ones that it begins with."""

from pathlib import Path

import pytest

from infeng.convert.fuzz_targets import LIMIT, TARGETS
from infeng.testing.mutations import memory_limit

CORPUS = Path("py/infeng/convert/fuzz_corpus")


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_corpus(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    with memory_limit(LIMIT):
        for seed in target.seeds(tmp_path):
            assert target.read(tmp_path, seed)
        results = [target.read(tmp_path, p.read_bytes()) for p in (CORPUS / name).iterdir()]
    assert len(results) >= 20 and not all(results)
