"""Damaged sources: each gives a clean error, or a model whose weights can all be read."""

import json
import random
from pathlib import Path

import pytest
from gguf.constants import GGMLQuantizationType as Kind

from infeng.convert.fuzz_targets import consume
from infeng.testing import small_model as small
from infeng.testing.mutations import memory_limit, mutate, mutate_json


def attack(path: Path, data: bytes, count: int, front: int, seed: int) -> None:
    """Write `count` mutations to path, and consume the model that it belongs to."""
    source = random.Random(seed)
    model = path if path.suffix == ".gguf" else path.parent
    path.write_bytes(data)
    assert consume(model)
    failed = 0
    with memory_limit():
        for _ in range(count):
            path.write_bytes(mutate(data, source, front))
            failed += not consume(model)
    assert failed > count // 2  # a change of a weight is no damage, most others are


@pytest.mark.parametrize("sentencepiece", [False, True])
@pytest.mark.parametrize("kind", [Kind.F32, Kind.Q8_0, Kind.Q4_1, Kind.F16])
def test_gguf(tmp_path: Path, kind: Kind, sentencepiece: bool) -> None:
    path = small.write_gguf(tmp_path / "m.gguf", small.random_weights(), kind, sentencepiece)
    front = path.read_bytes().index(b"output_norm.weight") + 100
    attack(path, path.read_bytes(), 1000, front, seed=int(kind))


@pytest.mark.parametrize("seed", [1, 2])
def test_safetensors(tmp_path: Path, seed: int) -> None:
    folder = small.write_huggingface(tmp_path / "hf", small.random_weights())
    path = folder / "model.safetensors"
    data = path.read_bytes()
    front = int.from_bytes(data[:8], "little") + 8
    attack(path, data, 1500, front, seed)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_json_beside(tmp_path: Path, name: str) -> None:
    folder = small.write_huggingface(tmp_path / "hf", small.random_weights())
    data = (folder / name).read_bytes()
    source = random.Random(name)
    with memory_limit():
        for i in range(1000):
            change = mutate_json if i % 2 else mutate
            (folder / name).write_bytes(change(data, source))
            consume(folder)


def test_index(tmp_path: Path) -> None:
    weights = small.random_weights()
    folder = small.write_huggingface(tmp_path / "hf", weights)
    path = folder / "model.safetensors.index.json"
    data = json.dumps({"weight_map": dict.fromkeys(weights, "model.safetensors")}).encode()
    attack(path, data, 1000, len(data), seed=3)
