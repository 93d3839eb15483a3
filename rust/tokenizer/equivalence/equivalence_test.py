"""The native tokenizer gives the ids and texts of the `tokenizers` package.

INFENG_TEST_TOKENIZER_JSON names the default model's tokenizer.json. The other
tokenizers are made here: one whose merges show every word boundary, one
trained on our own texts, and ones with random added tokens.
"""

import concurrent.futures
import copy
import itertools
import os
import random

import pytest
import tokenizers
from pairs import CLS_SEP, PLAIN, VARIANTS, Pair, added, corpus, default_pair, revealing, template

from infeng.native import Tokenizer


@pytest.fixture(scope="module")
def default():
    """The default model's tokenizer."""
    return default_pair()


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    """Each variant in turn."""
    return Pair(VARIANTS[request.param])


def code_points(*planes):
    """All scalar values of some planes."""
    for plane in planes:
        for code in range(plane << 16, (plane + 1) << 16):
            if not 0xD800 <= code < 0xE000:
                yield chr(code)


def in_chunks(items, size=2000):
    """Lists of at most `size`."""
    items = list(items)
    return [items[i : i + size] for i in range(0, len(items), size)]


@pytest.mark.parametrize("name", ["classes", "digits"])
def test_class_of_every_code_point(name):
    pair = Pair(VARIANTS[name])
    # Planes 4 to 13 are unassigned and 15 and 16 private: no white space is looked for there.
    pair.check(
        [
            "".join(f"a{c}1{c}!{c}\t{c} {c}" for c in chunk)
            for chunk in in_chunks(code_points(0, 1, 2, 3, 14))
        ]
    )
    pair.check(
        [
            "".join(f"a{c}1{c}!{c}" for c in chunk)
            for chunk in in_chunks(code_points(*range(4, 14), 15, 16))
        ]
    )


def test_neighbours_of_added_tokens():
    size = len(revealing()["model"]["vocab"])
    tokens = [
        added("<x>", size, single_word=True),
        added("<y>", size + 1, lstrip=True),
        added("<z>", size + 2, rstrip=True),
    ]
    pair = Pair(revealing(added_tokens=tokens))
    pair.check(
        [
            "".join(f"<x>{c}-{c}<x>-{c}<y>-<z>{c}-" for c in chunk)
            for chunk in in_chunks(code_points(0, 1, 2, 3, 14))
        ]
    )


def test_every_code_point_alone(default):
    for chunk in in_chunks(code_points(*range(17)), 100_000):
        for ids, text in zip(default.check(chunk), chunk, strict=True):
            stream = default.ours.decode_stream()
            streamed = "".join([*map(stream.step, ids), stream.finish()])
            # Nothing is lost but bytes that the vocabulary lacks.
            assert streamed == default.ours.decode(ids)
            assert streamed == text or len(ids) < len(text.encode())


def test_code_points_in_context(default):
    default.check(
        [
            "".join(f"a{c}b {c}{c}\n{c}'s 1{c}  {c} " for c in chunk)
            for chunk in in_chunks(code_points(0, 1))
        ]
    )


NASTY = [
    *"aAzé漢字ñßΩжअ่٣½²Ⅷ0129",
    *" \t\n\r\v\f\x00\x1c\x1f\x7f\x85\xa0\u2003\u2028\u3000\u200b\ufeff",
    *"'’\"!.,;:-_/\\()[]{}<>|@#$%&*+=~^`",
    *"\u0301\u200c\u200d\ufe0f\u20e3\U0001f3fd",
    *"🙂👩🇩🇪\U00011de5\U0001e5f1\U000e0001\U0010ffff\ud7ff\ue000\ufffd",
    *[
        "'s",
        "'t",
        "'re",
        "'ve",
        "'m",
        "'ll",
        "'d",
        "'S",
        "\n't",
        " 't",
        "  ",
        "\r\n",
        "\n\n",
        "   ",
    ],
    *[
        "the",
        " the",
        "hello",
        " world",
        "ing",
        "123",
        "<|im_end|>",
        "<s>",
        "</s>",
        "<s",
        "|im_end|",
    ],
]


def nasty_strings(seed, count):
    """Random strings, most short, of what is known to trip tokenizers."""
    rng = random.Random(seed)
    for _ in range(count):
        alphabet = rng.choices(NASTY, k=rng.choice([2, 5, 40]))
        yield "".join(rng.choices(alphabet, k=int(rng.expovariate(1 / 12))))


def test_random_strings_default(default):
    for ids in default.check(list(nasty_strings(1, 30_000)))[:3000]:
        default.check_decode(ids.tolist())


def test_random_strings(variant):
    for ids in variant.check(list(nasty_strings(2, 4000)))[:500]:
        variant.check_decode(ids.tolist())


def test_random_unicode(default):
    rng = random.Random(3)
    pool = list(code_points(0, 1))
    default.check(["".join(rng.choices(pool, k=30)) for _ in range(5000)])


def test_texts(default, variant):
    for pair in (default, variant):
        texts = corpus()
        texts += [line for text in texts for line in text.splitlines(keepends=True)]
        for ids in pair.check(texts):
            pair.check_decode(ids.tolist())


def test_round_trip_of_texts(default):
    for text in corpus():
        assert default.ours.decode(default.ours.encode(text)) == text


def test_stream_agrees_with_the_reference_stream(default):
    for text in corpus():
        stream, ours = tokenizers.decoders.DecodeStream(), default.ours.decode_stream()
        ids = default.ours.encode(text).tolist()
        want = "".join(stream.step(default.reference, i) or "" for i in ids)
        assert "".join([*map(ours.step, ids), ours.finish()]) == want


@pytest.mark.parametrize(
    "unit", ["a", " ", "\n", "0", "'", "é", "漢", "ab", "!?", "\x00", " a", "🙂"]
)
def test_long_runs(default, unit):
    for count in (1, 2, 3, 47, 48, 49, 50, 1000, 100_001):
        default.check([unit * count, "x" + unit * count + "y"])


def test_random_letters_in_one_word(default):
    rng = random.Random(4)
    default.check(["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=n)) for n in range(1, 400)])
    default.check(["".join(rng.choices("etaoin", k=20_000)) for _ in range(5)])


def test_decode_of_random_ids(default):
    rng = random.Random(5)
    size = default.ours.vocab_size
    short = [i for i in range(size) if len(default.ours.id_to_token(i)) < 3]
    for pool in (range(size), short, range(300)):
        for _ in range(2000):
            default.check_decode(rng.choices(pool, k=rng.randrange(12)))


def test_vocabulary(default, variant):
    for pair in (default, variant):
        assert pair.ours.vocab_size == pair.reference.get_vocab_size()
        for token, token_id in pair.reference.get_vocab().items():
            assert pair.ours.token_to_id(token) == token_id
            assert pair.ours.id_to_token(token_id) == token
        special = {
            t.content: i for i, t in pair.reference.get_added_tokens_decoder().items() if t.special
        }
        assert pair.ours.special_tokens == special
        assert all(map(pair.ours.is_special, special.values()))
        assert pair.ours.token_to_id("no such token") is None
        assert pair.ours.id_to_token(pair.ours.vocab_size) is None


CONTENTS = [
    "<x>",
    "<x",
    "x>",
    "<x><x>",
    "<y>",
    "ab",
    "b",
    " ",
    "  ",
    " a",
    "a ",
    "\n",
    "é",
    "Ġ",
    "漢",
    "_",
    "<x> ",
]


def test_added_tokens_with_random_flags():
    rng = random.Random(6)
    base = VARIANTS["trained"]
    alphabet = [*CONTENTS, "a", "b", "c", " ", "\t", "\u3000", "<", ">", "1", "é", "\u0301", "-"]
    compared = 0
    for _ in range(300):
        doc = copy.deepcopy(base)
        next_id = len(doc["model"]["vocab"])
        for content in rng.sample(CONTENTS, rng.randrange(1, 7)):
            flags = {
                name: rng.random() < 0.4
                for name in ("single_word", "lstrip", "rstrip", "normalized", "special")
            }
            token_id = doc["model"]["vocab"].get(content)
            if token_id is None:
                token_id, next_id = next_id, next_id + 1
            doc["added_tokens"].append(added(content, token_id, **flags))
        pair = Pair(doc)
        for text in ("".join(rng.choices(alphabet, k=rng.randrange(14))) for _ in range(40)):
            try:
                want = pair.reference.encode(text).ids
            except BaseException as panic:  # the reference panics where stripped spaces overlap
                assert type(panic).__name__ == "PanicException"
                pair.ours.encode(text)
                continue
            compared += 1
            assert pair.ours.encode(text).tolist() == want, (text, doc["added_tokens"])
            pair.check_decode(want)
    assert compared > 10_000


ROBERTA = {
    "type": "RobertaProcessing",
    "sep": ["</s>", 1],
    "cls": ["<s>", 0],
    "trim_offsets": True,
    "add_prefix_space": False,
}


@pytest.mark.parametrize(
    "post_processor",
    [
        None,
        PLAIN,
        ROBERTA,
        CLS_SEP,
        template("A", special={}),
        {"type": "Sequence", "processors": [PLAIN, CLS_SEP]},
        {"type": "Sequence", "processors": [ROBERTA, PLAIN]},
    ],
)
def test_post_processors(post_processor):
    pair = Pair(VARIANTS["trained"] | {"post_processor": post_processor})
    for text in ["", "Hello <s> world", " "]:
        for special in (True, False):
            want = pair.reference.encode(text, add_special_tokens=special).ids
            assert pair.ours.encode(text, add_special_tokens=special).tolist() == want


def test_batches_by_any_number_of_threads(default):
    texts = list(nasty_strings(8, 300)) + corpus() * 30
    want = [ids.tolist() for ids in map(default.ours.encode, texts)]
    for threads in (0, 1, 2, 3, 8):
        got = default.ours.encode_batch(texts, threads=threads)
        assert [ids.tolist() for ids in got] == want
        ids, bounds = default.ours.encode_batch_flat(texts, threads=threads)
        assert bounds.tolist()[0] == 0 and len(bounds) == len(texts) + 1
        assert [ids[a:b].tolist() for a, b in itertools.pairwise(bounds)] == want
        texts_back = default.ours.decode_batch(got, threads=threads)
        assert texts_back == list(map(default.ours.decode, got))
    assert default.ours.encode_batch([]) == []
    assert default.ours.encode_batch_flat([])[1].tolist() == [0]


def test_threads_share_a_tokenizer(default):
    texts = list(nasty_strings(9, 2000))
    want = [ids.tolist() for ids in map(default.ours.encode, texts)]

    def encode(start):
        rotated = texts[start:] + texts[:start]
        return [ids.tolist() for ids in map(default.ours.encode, rotated)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for start, got in zip((0, 500, 1000, 1500), pool.map(encode, (0, 500, 1000, 1500))):
            assert got == want[start:] + want[:start]


def test_a_prefix_cache_changes_nothing(default, tmp_path):
    path = os.environ["INFENG_TEST_TOKENIZER_JSON"]
    cached = Tokenizer.from_file(path, prefix_k=64, prefix_cache_entries=4)
    rng = random.Random(10)
    beginnings = [text[:200] for text in corpus()] + ["You are a helpful assistant. " * 4]
    for _ in range(2000):
        text = rng.choice(beginnings)[: rng.randrange(40, 120)] + rng.choice(NASTY)
        assert cached.encode(text).tolist() == default.ours.encode(text).tolist()
