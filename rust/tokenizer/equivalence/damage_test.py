"""Damaged documents and wrong arguments give one clear line, and never a crash."""

import json
import random

import numpy as np
import pytest
import tokenizers
from pairs import (
    ALPHABET,
    CLS_SEP,
    PLAIN,
    VARIANTS,
    Pair,
    added,
    default_pair,
    digits,
    document,
    sequence,
)

from infeng.native import Tokenizer


@pytest.fixture(scope="module")
def default():
    """The default model's tokenizer."""
    return default_pair()


def mutants(seed, count):
    """Damaged copies of a small document."""
    vocab = {c: i for i, c in enumerate(ALPHABET)} | {"ab": 256, "abc": 257, "Ġab": 258}
    merges = [["a", "b"], ["ab", "c"], ["Ġ", "ab"]]
    tokens = [added("<s>", 259, special=True), added("é", 260, lstrip=True)]
    doc = document(
        {k: v for k, v in vocab.items() if v > 255 or k in "abcĠ123!"},
        merges,
        sequence(digits(True), PLAIN),
        added_tokens=tokens,
        post_processor=CLS_SEP,
    )
    # Ids are made contiguous, so that added tokens follow.
    doc["model"]["vocab"] = {token: i for i, token in enumerate(doc["model"]["vocab"])}
    size = len(doc["model"]["vocab"])
    doc["added_tokens"][0]["id"], doc["added_tokens"][1]["id"] = size, size + 1
    text = json.dumps(doc, ensure_ascii=False)
    Pair(text)
    rng = random.Random(seed)
    scraps = [
        "null",
        "true",
        "-1",
        "1e9",
        "4194304",
        "18446744073709551616",
        '""',
        "[",
        "]",
        "{",
        "}",
        ",",
        '"',
        "\\u0000",
        "é",
        "9",
    ]
    for _ in range(count):
        mutant = text
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            start = rng.randrange(len(mutant))
            end = start + rng.choice([0, 1, 1, 2, 5])
            put = rng.choice(
                ["", rng.choice(scraps), mutant[(i := rng.randrange(len(mutant))) : i + 6]]
            )
            mutant = mutant[:start] + put + mutant[end:]
        yield mutant


def test_damaged_documents_give_one_line_or_the_same_ids():
    sample = "ab abc<s> é1 12!\nabca"
    loaded = 0
    for mutant in mutants(7, 10_000):
        try:
            ours = Tokenizer.from_bytes(mutant.encode())
        except ValueError as error:
            assert str(error) and "\n" not in str(error)
            assert "tokenizer bug" not in str(error)
            continue
        got = ours.encode(sample).tolist()
        try:
            want = tokenizers.Tokenizer.from_str(mutant).encode(sample).ids
        except BaseException:  # its own checks are other than ours, and some panic
            continue
        loaded += 1
        assert got == want, mutant
    assert loaded > 300


def test_truncated_documents_are_refused():
    text = json.dumps(VARIANTS["trained"]).encode()
    for end in range(0, len(text) - 1, 97):
        with pytest.raises(ValueError, match=r"not a tokenizer\.json"):
            Tokenizer.from_bytes(text[:end])


def test_arguments(default, tmp_path):
    ours = default.ours
    with pytest.raises(ValueError, match="text has a lone surrogate at character 1"):
        ours.encode("a\ud800")
    with pytest.raises(ValueError, match=r"texts\[1\] has a lone surrogate"):
        ours.encode_batch(["a", "\udfff"])
    with pytest.raises(ValueError, match="id 49152 is not in the vocabulary of 49152 tokens"):
        ours.decode([3, 49152])
    with pytest.raises(ValueError, match=r"ids\[1\] is -1"):
        ours.decode(np.array([1, -1]))
    with pytest.raises(TypeError, match=r"ids\[0\] is not an integer"):
        ours.decode([1.5])
    with pytest.raises(ValueError, match="2 dimensions"):
        ours.decode(np.zeros((2, 2), np.uint32))
    ids = ours.encode("Hello there")
    assert ours.decode(ids) == ours.decode(ids.tolist()) == ours.decode(ids.astype(np.int64))
    assert ours.decode(np.repeat(ids, 2)[::2]) == "Hello there"
    unaligned = np.frombuffer(b"x" + ids.tobytes(), np.uint32, offset=1)
    assert ours.decode(unaligned) == ours.decode(ids.astype(">u4")) == "Hello there"
    assert ours.encode("").shape == (0,)
    assert ours.decode([]) == ""
    missing = tmp_path / "missing.json"
    with pytest.raises(ValueError, match=f"^{missing}: cannot open"):
        Tokenizer.from_file(missing)


def test_a_refused_step_leaves_the_stream_as_it_was(default):
    ids = default.ours.encode("🙂").tolist()
    stream = default.ours.decode_stream()
    texts = []
    for token_id in ids:
        with pytest.raises(ValueError, match="id 4000000000 is not"):
            stream.step(4_000_000_000)
        texts.append(stream.step(token_id))
    assert texts == [""] * (len(ids) - 1) + ["🙂"]
    assert stream.finish() == ""
