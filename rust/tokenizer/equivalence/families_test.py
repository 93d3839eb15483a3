"""Every family of tokenizers gives all that the reference gives: ids, offsets, masks, texts."""

import json
import pathlib
import random

import pytest
from families import NAMES, text_of
from pairs import Pair, corpus
from texts import code_points, in_chunks, lines, long_runs, nasty_strings


@pytest.fixture(scope="module", params=NAMES)
def pair(request):
    """Each family in turn."""
    return Pair(text_of(request.param))


def test_interesting_strings(pair):
    """What the fuzzer kept."""
    kept = json.loads(pathlib.Path("testdata/tokenizer/interesting.json").read_text("utf-8"))
    pair.check_encodings(kept)
    pair.check_encodings(["".join(kept[i::7]) for i in range(7)])


def test_nasty_strings(pair):
    pair.check_encodings(list(nasty_strings(11, 4000)))
    pair.check_encodings(list(nasty_strings(12, 500)), add_special_tokens=False)


def test_pairs(pair):
    texts = list(nasty_strings(13, 400)) + lines()
    rng = random.Random(14)
    pair.check_encodings([(rng.choice(texts), rng.choice(texts)) for _ in range(400)])


def test_texts(pair):
    pair.check_encodings(lines())
    for ids in pair.check([*corpus(), *lines()]):
        pair.check_decode(ids.tolist())


def test_code_points(pair):
    pair.check(
        [
            "".join(f"a{c}b {c}{c}\n{c}'s 1{c}  {c} " for c in chunk)
            for chunk in in_chunks(code_points(0))
        ]
    )
    for chunk in in_chunks(code_points(0, 1, 2, 14), 100_000):
        pair.check(chunk)


def test_long_runs(pair):
    pair.check([text for count in (100, 3000, 50_000) for text in long_runs(count)])


def test_random_ids(pair):
    rng = random.Random(15)
    known = [i for i in range(pair.ours.vocab_size) if pair.reference.id_to_token(i) is not None]
    for pool in (known, known[:300]):
        for _ in range(1000):
            pair.check_decode(rng.choices(pool, k=rng.randrange(12)), stream=False)


def test_special_tokens_as_text(pair):
    special = list(pair.ours.special_tokens)[:50]
    texts = [f"a {a}{b} b" for a in special for b in special[:3]] + list(nasty_strings(16, 200))
    want = [e.ids for e in pair.reference.encode_batch(texts)]
    assert [pair.ours.encode(text).tolist() for text in texts] == want
    pair.reference.encode_special_tokens = True
    try:
        want = [e.ids for e in pair.reference.encode_batch(texts)]
    finally:
        pair.reference.encode_special_tokens = False
    got = pair.ours.encode_batch(texts, encode_special_tokens=True)
    assert [ids.tolist() for ids in got] == want
