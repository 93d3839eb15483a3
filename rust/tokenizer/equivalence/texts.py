"""Texts that are known to trip tokenizers."""

import random

from pairs import corpus

NASTY = [
    *"aAzé漢字ñßΩжअ่٣½²Ⅷ0129",
    *" \t\n\r\v\f\x00\x1c\x1f\x7f\x85\xa0\u2003\u2028\u3000\u200b\ufeff",
    *"'’\"!.,;:-_/\\()[]{}<>|@#$%&*+=~^`▁Ġ",
    *"\u0301\u200c\u200d\ufe0f\u20e3\U0001f3fd",
    *"🙂👩🇩🇪\U00011de5\U0001e5f1\U000e0001\U0010ffff\ud7ff\ue000\ufffd",
    *["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'ſ", "\n't", " 't", "  ", "\r\n", "\n\n"],
    *["   ", "the", " the", "hello", " world", "ing", "123", "<|im_end|>", "<s>", "</s>", "<s"],
    *["|im_end|", "<0x0A>", "▁▁", "İ", "ﬁ", "ｱﾞ", "각", "한", "Å", "ǆ", "ǅ", "[MASK]"],
    *["[UNK]", "<unk>", "<mask>", "ไทย", "हिन्दी", "مرحبا", "かな", "カナ", "HTTPServer", "don't"],
]


def nasty_strings(seed, count):
    """Random strings, most short."""
    rng = random.Random(seed)
    for _ in range(count):
        alphabet = rng.choices(NASTY, k=rng.choice([2, 5, 40]))
        yield "".join(rng.choices(alphabet, k=int(rng.expovariate(1 / 12))))


def code_points(*planes):
    """All scalar values of some planes."""
    for plane in planes:
        for code in range(plane << 16, (plane + 1) << 16):
            if not 0xD800 <= code < 0xE000:
                yield chr(code)


def in_chunks(items, size=512):
    """Lists of at most `size` items."""
    chunk = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    yield chunk


def lines():
    """The lines of our texts, with their ends."""
    return [line for text in corpus() for line in text.splitlines(keepends=True)]


def long_runs(count):
    """The same again and again, and letters at random."""
    rng = random.Random(count)
    units = ["a", " ", "\n", "0", "'", "é", "漢", "ab", "!?", "\x00", " a", "🙂", "▁", "\u0301"]
    yield from (unit * (count // len(unit)) for unit in units)
    yield "".join(rng.choices("etaoinshrdlu", k=count))
    yield "".join(rng.choices("漢字仮名交文章長言", k=count // 3))
