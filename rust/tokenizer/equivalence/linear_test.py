"""Ten times the text takes about ten times as long, whatever the text and the tokenizer."""

import random
import time

import pytest
from families import text_of
from texts import NASTY

from infeng.native import Tokenizer

# Characters; and a text of ten parts against the mean of its parts. Parts are other texts, mostly,
# so that caches know as little of one as of the whole.
PARTS, LENGTH, MOST = 10, 1_000_000, 11.0
# The general way keeps some thirty bytes for a character, which leave smaller caches.
GENERAL = {"e5": 13.0, "minilm_whole": 13.0}
# A machine that others use takes time at random: the least of this many tries is judged.
TRIES = 25
# Each way of words, merges and models.
NAMES = ["smollm2", "llama3", "gemma", "e5", "minilm_whole"]


def random_from(alphabet):
    """Characters at random."""
    return lambda count: "".join(random.Random(21).choices(alphabet, k=count))


def repeated(unit):
    """The same again and again."""
    return lambda count: unit * (count // len(unit))


ADVERSARIAL = {
    **{f"{unit!r}": repeated(unit) for unit in ["a", " ", "\n", "'", "0", "漢", "🙂", "\u0301"]},
    **{
        f"{unit!r}": repeated(unit) for unit in ["ab", "!", "A", "\x00", "▁", "<|im_end|>", "<|im_"]
    },
    **{
        f"{unit!r}": repeated(unit) for unit in ["e\u0301", "  a", "'s", "\r\n", "ﬁ", "[MASK", "각"]
    },
    "letters": random_from("abcdefghijklmnopqrstuvwxyz"),
    "common letters": random_from("etaoin"),
    "Han": random_from([chr(code) for code in range(0x4E00, 0x9FA5)]),
    "marks": random_from(["a", "\u0301", "\u0323", "\u0f71", "\u0f72"]),
    "nasty": random_from([c for c in NASTY if len(c) == 1]),
}


def seconds(tokenizer, texts):
    """CPU time of encoding them."""
    start = time.thread_time()
    for text in texts:
        tokenizer.encode(text)
    return time.thread_time() - start


@pytest.mark.parametrize("name", NAMES)
def test_time_is_linear(name):
    tokenizer = Tokenizer.from_bytes(text_of(name).encode())
    most = GENERAL.get(name, MOST)
    for title, make in ADVERSARIAL.items():
        text = make(LENGTH)
        size = len(text) // PARTS
        parts = [text[start : start + size] for start in range(0, size * PARTS, size)]
        of_parts = seconds(tokenizer, parts) / PARTS
        whole = seconds(tokenizer, [text])
        for _ in range(TRIES):
            if whole <= most * of_parts:
                break
            # The least of each: more tries of the parts only make the bound harder to keep.
            whole = min(whole, seconds(tokenizer, [text]))
            of_parts = min(of_parts, seconds(tokenizer, parts) / PARTS)
        ratio = whole / of_parts
        assert ratio <= most, f"{title}: {ratio:.1f} times as long"
