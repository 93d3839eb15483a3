"""The default model against what transformers answers in float32 (testdata/golden)."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from infeng.testing.command import infeng, infeng_json
from infeng.testing.signs import is_upper

TESTDATA = Path("testdata")
SAFE_GAP = 0.01


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The float32 model is converted once for all tests here, as a user's first call does it."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


def golden(name: str) -> Any:
    return json.loads((TESTDATA / "golden" / name).read_text())


GREEDY = golden("greedy.json")
ADAPTED = [(name, a) for name, answers in golden("adapters_greedy.json").items() for a in answers]


def check(answer: dict[str, Any], expected: dict[str, Any]) -> int:
    """Compare up to where another order of summation may choose otherwise; how far that is."""
    assert answer["prompt_ids"] == expected["prompt_ids"]
    wanted, gaps = expected["greedy"], expected["gaps"]
    safe = next((i for i, gap in enumerate(gaps) if gap < SAFE_GAP), len(wanted))
    assert answer["ids"][:safe] == wanted[:safe]
    if safe == len(wanted):
        assert answer["ids"] == wanted
    return safe


def test_the_goldens_are_enough() -> None:
    whole = [a for a in GREEDY if len(a["greedy"]) == 64 and min(a["gaps"]) >= SAFE_GAP]
    assert len(whole) >= 5


@pytest.mark.parametrize("expected", GREEDY, ids=[a["prompt"] for a in GREEDY])
def test_f32_is_what_transformers_answers(expected: dict[str, Any]) -> None:
    answer = infeng_json(
        "run", "--greedy", "--dtype", "f32", "--max-tokens", 64, expected["prompt"]
    )
    assert check(answer, expected) >= min(5, len(expected["greedy"]))
    if answer["ids"] == expected["greedy"]:
        assert answer["text"] == expected["text"].removesuffix("<|im_end|>")


@pytest.mark.parametrize(
    ("name", "expected"), ADAPTED, ids=[f"{n}-{a['prompt']}" for n, a in ADAPTED]
)
def test_adapters_in_f32(name: str, expected: dict[str, Any]) -> None:
    both = [f"--adapter={n}={TESTDATA / 'adapters' / n}" for n in ("json", "upper")]
    options = ("--greedy", "--dtype", "f32", "--max-tokens", 40)
    answer = infeng_json("run", *options, *both, "--use", name, expected["prompt"])
    assert check(answer, expected) >= 5
    assert answer["adapter"] == name


def test_int8_answers_streaming() -> None:
    done = infeng("run", "--greedy", "--max-tokens", 48, "Why is the sky blue?")
    assert done.returncode == 0
    assert any(w in done.stdout.lower() for w in ("scatter", "light", "atmosphere"))
    for word in ("tokens/s", "first token", "p95"):
        assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_int8_follows_an_adapter() -> None:
    adapter = f"--adapter=upper={TESTDATA / 'adapters' / 'upper'}"
    answer = infeng_json("run", "--greedy", "--max-tokens", 24, adapter, "What is a river?")
    assert is_upper(answer["text"])
