"""The inputs that coverage-guided fuzzing has kept, and the good ones that it begins with."""

from pathlib import Path

import pytest

from infeng.convert.fuzz_targets import TARGETS
from infeng.testing.mutations import memory_limit

CORPUS = Path("py/infeng/convert/fuzz_corpus")


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_corpus(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds(tmp_path):
        assert target.read(tmp_path, seed)
    results = []
    for path in sorted((CORPUS / name).iterdir()):
        with memory_limit():
            results.append(target.read(tmp_path, path.read_bytes()))
    assert len(results) >= 20 and not all(results)
