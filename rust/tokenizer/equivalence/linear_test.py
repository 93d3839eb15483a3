"""Twice the text takes about twice as long, whatever the text and the tokenizer."""

import random
import time

import pytest
from families import text_of
from texts import NASTY

from infeng.native import Tokenizer

# Both too long for the caches, which a long word's lists leave as it grows: from 100 KB to 1 MB that alone
# makes 12 to 27 times of ten where neighbours use the caches too. Anything quadratic takes 4 times as long.
SMALL, LARGE, MOST = 500_000, 1_000_000, 2.7
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


def seconds(tokenizer, text):
    """CPU time of one encoding."""
    start = time.thread_time()
    tokenizer.encode(text)
    return time.thread_time() - start


@pytest.mark.parametrize("name", NAMES)
def test_time_is_linear(name):
    tokenizer = Tokenizer.from_bytes(text_of(name).encode())
    for title, make in ADVERSARIAL.items():
        small, large = make(SMALL), make(LARGE)
        least_small = min(seconds(tokenizer, small) for _ in range(2))
        least_large = seconds(tokenizer, large)
        for _ in range(TRIES):
            if least_large <= MOST * least_small:
                break
            least_large = min(least_large, seconds(tokenizer, large))
            # More tries of the small one cost little, and only make the bound harder to keep.
            least_small = min(least_small, seconds(tokenizer, small))
        ratio = least_large / least_small
        assert ratio <= MOST, f"{title}: {ratio:.1f} times as long"
