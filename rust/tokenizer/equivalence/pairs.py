"""Documents (tokenizer.json) for tests, and pairs of the reference and our tokenizer."""

import copy
import json
import os
import pathlib

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from infeng.native import Tokenizer

TEXTS = pathlib.Path(__file__).parents[3] / "testdata" / "text"
PLAIN = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}


def byte_alphabet():
    """The character that stands for each byte, in the order of bytes."""
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(b) if b in shown else chr(next(hidden)) for b in range(256)]


ALPHABET = byte_alphabet()


def document(vocab, merges, pre_tokenizer=None, **parts):
    """A tokenizer.json as an object; `parts` replaces or adds top-level fields."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer or PLAIN,
        "post_processor": None,
        "decoder": PLAIN,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
    } | parts


def sequence(*steps):
    """A pre-tokenizer of several."""
    return {"type": "Sequence", "pretokenizers": list(steps)}


def digits(individual):
    """The pre-tokenizer Digits."""
    return {"type": "Digits", "individual_digits": individual}


def added(content, token_id, **flags):
    """An entry of added_tokens."""
    defaults = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized", "special"], False)
    return {"id": token_id, "content": content} | defaults | flags


def template(*single, special):
    """A TemplateProcessing; a piece "A" is the text."""
    pieces = [
        {"Sequence": {"id": "A", "type_id": 0}}
        if p == "A"
        else {"SpecialToken": {"id": p, "type_id": 0}}
        for p in single
    ]
    pair = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    named = {n: {"id": n, "ids": ids, "tokens": [n] * len(ids)} for n, ids in special.items()}
    return {"type": "TemplateProcessing", "single": pieces, "pair": pair, "special_tokens": named}


CLS_SEP = template("cls", "A", "sep", "cls", special={"cls": [0, 5], "sep": [1]})


def revealing(pre_tokenizer=None, **parts):
    """A letter, a digit, a symbol and a tab each merge with any byte that follows in
    the same word and with nothing else: ids show the class of every code point."""
    vocab = {c: i for i, c in enumerate(ALPHABET)}
    merges = []
    for witness in (ALPHABET[ord(c)] for c in "a1!\t"):
        for byte in ALPHABET:
            merges.append([witness, byte])
            vocab.setdefault(witness + byte, len(vocab))
    return document(vocab, merges, pre_tokenizer, **parts)


class Pair:
    """The reference and ours, from one document."""

    def __init__(self, source):
        """Loads a document, given as an object or as text, into both."""
        text = source if isinstance(source, str) else json.dumps(source)
        self.reference = tokenizers.Tokenizer.from_str(text)
        self.ours = Tokenizer.from_bytes(text.encode())

    def check(self, texts):
        """Both give the same ids; returns ours."""
        expected = self.reference.encode_batch_fast(texts)
        found = self.ours.encode_batch(texts)
        for text, want, got in zip(texts, expected, found, strict=True):
            assert got.dtype == np.uint32
            assert got.tolist() == want.ids, f"{text[:200]!r} {narrowed(self, text)}"
        return found

    def check_encodings(self, texts, add_special_tokens=True):
        """Both tell the same of texts, or pairs of texts: offsets in both units, masks, all."""
        want = self.reference.encode_batch(texts, add_special_tokens=add_special_tokens)
        got = self.ours.encoding_batch(texts, add_special_tokens=add_special_tokens)
        in_bytes = self.ours.encoding_batch(
            texts, add_special_tokens=add_special_tokens, offsets="bytes"
        )
        for text, theirs, ours, in_byte in zip(texts, want, got, in_bytes, strict=True):
            same_encoding(text, theirs, ours)
            if isinstance(text, str):
                same_bytes(text, ours, in_byte)

    def check_decode(self, ids, stream=True):
        """Both give the same text, at once and as a stream."""
        for skip in (False, True):
            want = self.reference.decode(ids, skip_special_tokens=skip)
            assert self.ours.decode(ids, skip_special_tokens=skip) == want, ids
            if stream:
                stream = self.ours.decode_stream(skip_special_tokens=skip)
                assert "".join([*map(stream.step, ids), stream.finish()]) == want, ids


def same_encoding(text, theirs, ours):
    """Every column of two encodings, and of what truncation cut off."""
    columns = {
        "ids": ours.ids.tolist(),
        "tokens": ours.tokens,
        "offsets": list(map(tuple, ours.offsets.tolist())),
        "type_ids": ours.type_ids.tolist(),
        "word_ids": [None if w < 0 else w for w in ours.word_ids.tolist()],
        "sequence_ids": [None if s < 0 else s for s in ours.sequence_ids.tolist()],
        "special_tokens_mask": ours.special_tokens_mask.tolist(),
        "attention_mask": ours.attention_mask.tolist(),
    }
    for name, got in columns.items():
        assert got == getattr(theirs, name), f"{name} of {text!r:.300}"
    assert len(ours.overflowing) == len(theirs.overflowing), text
    for cut, their_cut in zip(ours.overflowing, theirs.overflowing, strict=True):
        same_encoding(text, their_cut, cut)


def same_bytes(text, in_chars, in_bytes):
    """Offsets in bytes are those in characters."""
    ends = [0]
    for c in text:
        ends.append(ends[-1] + len(c.encode("utf-8", "surrogatepass")))
    for chars, found in zip(in_chars.offsets.tolist(), in_bytes.offsets.tolist(), strict=True):
        # Parts of a character are told in bytes and cannot be in characters.
        if all(at in ends for at in found):
            assert [ends[at] for at in chars] == found, text


def narrowed(pair, text):
    """A shorter text on which the two differ, for the message."""
    shrunk = True
    while shrunk and len(text) > 1:
        half = len(text) // 2
        shrunk = False
        for part in (text[:half], text[half:], text[1:], text[:-1]):
            if pair.ours.encode(part).tolist() != pair.reference.encode(part).ids:
                text, shrunk = part, True
                break
    return f"narrowed to {text!r}"


def default_pair():
    """The default model's tokenizer; INFENG_TEST_TOKENIZER_JSON names its tokenizer.json."""
    path = pathlib.Path(os.environ["INFENG_TEST_TOKENIZER_JSON"])
    return Pair(path.read_text("utf-8"))


def corpus():
    """Our texts."""
    return [path.read_text("utf-8") for path in sorted(TEXTS.glob("*.txt"))]


def trained():
    """A tokenizer as the reference trains it on our texts: long merges, some bytes missing."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<s>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [added("<s>", 0, special=True), added("</s>", 1, special=True)]
    return document(model["vocab"], model["merges"], added_tokens=tokens)


def variants():
    """Documents by name, that differ in what stands around the model."""
    small = trained()
    unknown = copy.deepcopy(small)
    unknown["model"]["unk_token"] = "<s>"
    fused = copy.deepcopy(unknown)
    fused["model"]["fuse_unk"] = True
    whole = copy.deepcopy(small)
    whole["model"]["ignore_merges"] = True
    # Merges in another order leave tokens that no text reaches without ignore_merges.
    whole["model"]["merges"] = whole["model"]["merges"][::-1]
    reordered = copy.deepcopy(whole)
    reordered["model"]["ignore_merges"] = False
    legacy = copy.deepcopy(small)
    legacy["model"]["merges"] = [" ".join(pair) for pair in small["model"]["merges"]]
    del legacy["model"]["type"]
    return {
        "trained": small,
        "unk_token": unknown,
        "fuse_unk": fused,
        "ignore_merges": whole,
        "reordered merges": reordered,
        "legacy merges": legacy,
        "classes": revealing(),
        "digits": revealing(sequence(digits(True), PLAIN)),
        "digit runs": revealing(sequence(digits(False), PLAIN)),
        "digits twice": revealing(sequence(digits(True), sequence(digits(False)), PLAIN)),
        "prefix space": revealing(PLAIN | {"add_prefix_space": True}),
        "digits and prefix space": revealing(
            sequence(digits(True), PLAIN | {"add_prefix_space": True})
        ),
        "no regex": revealing(sequence(digits(True), PLAIN | {"use_regex": False})),
    }


VARIANTS = variants()
