"""Damaged INFQ files and tokenizers: the native readers refuse with one line, and never crash."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from infeng.convert import Recipe, convert
from infeng.native import Engine, Tokenizer, infq_section, read_infq, xxh3_64
from infeng.testing import families
from infeng.testing import small_model as small
from infeng.testing.mutations import memory_limit, mutate, mutate_json

ERRORS = (ValueError, OSError, RuntimeError, KeyError)


# A plain Llama in two recipes, and what other families add: windows, norms, biases, ropes.
@pytest.fixture(scope="module", params=["int8", "f32", "gemma3", "qwen3", "smollm3"])
def infq(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("model")
    if request.param in ("int8", "f32"):
        source = small.write_huggingface(folder / "hf", small.random_weights())
        recipe = Recipe(request.param)
    else:
        source, recipe = families.write(request.param, folder / "hf"), Recipe()
    convert(source, folder / "m.infq", recipe)
    return (folder / "m.infq").read_bytes()


def header_end(data: bytes) -> int:
    return 64 + int.from_bytes(data[8:16], "little")


def with_sums(data: bytes, header: bytes) -> bytes:
    """The file with another header, whose length and sums are right."""
    # What follows keeps its place if the header still fits.
    old = header_end(data)
    body = data[(old + 63) // 64 * 64 :]
    padded = header + b"\0" * max(0, (old + 63) // 64 * 64 - 64 - len(header))
    size = 64 + len(padded) + len(body)
    prelude = data[:8] + len(header).to_bytes(8, "little") + size.to_bytes(8, "little")
    prelude += xxh3_64(header).to_bytes(8, "little") + bytes(24)
    return prelude + xxh3_64(prelude).to_bytes(8, "little") + padded + body


def refused(path: Path) -> bool:
    try:
        read_infq(str(path))
    except ERRORS as e:
        assert "\n" not in str(e) and path.name in str(e), e
        return True
    return False


def test_an_intact_file_is_read(tmp_path: Path, infq: bytes) -> None:
    path = tmp_path / "m.infq"
    for data in (infq, with_sums(infq, infq[64 : header_end(infq)])):
        path.write_bytes(data)
        header = read_infq(str(path))
        assert json.loads(header)["tensors"]
    assert infq_section(str(path), "chat_template") == small.CHAT_TEMPLATE.encode()
    with pytest.raises(ERRORS, match="surprise"):
        infq_section(str(path), "surprise")


def test_random_damage_is_found(tmp_path: Path, infq: bytes) -> None:
    source = random.Random(1)
    path = tmp_path / "m.infq"
    changed = 0
    with memory_limit():
        for _ in range(1500):
            data = mutate(infq, source, front=source.choice([64, header_end(infq), len(infq)]))
            path.write_bytes(data)
            if data != infq:
                changed += 1
                # Zeros between sections are all that no sum covers; the reader looks at them too.
                assert refused(path)
    assert changed > 1000


def test_every_flipped_bit_is_found(tmp_path: Path, infq: bytes) -> None:
    path = tmp_path / "m.infq"
    for at in [*range(64), *range(64, len(infq), len(infq) // 500)]:
        damaged = bytearray(infq)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        assert refused(path), at


def test_lies_with_good_sums(tmp_path: Path, infq: bytes) -> None:
    """Whatever a header says, reading it and running the model do not crash."""
    source = random.Random(2)
    path = tmp_path / "m.infq"
    header = infq[64 : header_end(infq)]
    count = 0
    with memory_limit():
        for i in range(1500):
            change = mutate_json if i % 3 else mutate
            path.write_bytes(with_sums(infq, change(header, source)))
            if refused(path):
                count += 1
                continue
            try:
                engine = Engine(str(path), threads=1)
                sequence = engine.new_sequence()
                engine.step([(sequence, np.array([5, 6, 7], np.uint32), -1)])
            except ERRORS as e:
                assert "\n" not in str(e)
    assert count > 1000


def test_tokenizer(tmp_path: Path) -> None:
    data = json.dumps(small.tokenizer()).encode()
    Tokenizer.from_bytes(data)
    source = random.Random(3)
    failed = 0
    with memory_limit():
        for i in range(2000):
            change = mutate_json if i % 2 else mutate
            try:
                tokenizer = Tokenizer.from_bytes(change(data, source))
                tokenizer.decode(tokenizer.encode("The theatre 12 <|im_end|> é 漢"))
            except ValueError as e:
                assert "\n" not in str(e)
                failed += 1
    assert failed > 500
