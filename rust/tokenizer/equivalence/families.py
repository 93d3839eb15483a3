"""Tokenizers of well-known models, and others of each kind, as JSON documents.

INFENG_TEST_TOKENIZER_<FAMILY> names the tokenizer.json of a family, as the build has it.
"""

import functools
import json
import os
import pathlib

import pytest
import tokenizers
from pairs import added, corpus, document
from tokenizers import models, normalizers, pre_tokenizers, trainers

_VARIABLE = "INFENG_TEST_TOKENIZER_"
# Those that the BUILD file lists; JSON is the default model's.
PACKAGED = sorted(
    name.removeprefix(_VARIABLE).lower()
    for name in os.environ
    if name.startswith(_VARIABLE) and name != f"{_VARIABLE}JSON"
)


def packaged(family):
    """The tokenizer.json of a packaged family; skips the test if there is none here."""
    files = os.environ[_VARIABLE + family.upper()].split()
    for path in map(pathlib.Path, files):
        if path.name == "tokenizer.json":
            return path.read_text("utf-8")
        if path.name == "unavailable.txt":
            reason = path.read_text("utf-8").strip()
    pytest.skip(f"{family}: {reason}")


def minilm_whole():
    """A packaged one without its truncation and padding, which hide most of a long text."""
    return json.loads(packaged("minilm")) | {"truncation": None, "padding": None}


def smollm2():
    """The default model's."""
    return pathlib.Path(os.environ["INFENG_TEST_TOKENIZER_JSON"]).read_text("utf-8")


def special(*contents):
    """Added tokens with the first ids."""
    return [added(content, i, special=True) for i, content in enumerate(contents)]


@functools.cache
def wordpiece():
    """BERT's parts around a vocabulary that the reference trains on our texts."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=3000, special_tokens=names, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    base = json.loads(tokenizer.to_str())
    return base | {
        "added_tokens": special(*names),
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    }


@functools.cache
def unigram():
    """T5's parts around a vocabulary that the reference trains on our texts."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=3000,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    base = json.loads(tokenizer.to_str())
    end = [{"SpecialToken": {"id": "</s>", "type_id": 0}}]
    a, b = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return base | {
        "added_tokens": special("<pad>", "</s>", "<unk>"),
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [a, *end],
            "pair": [a, *end, b, *end],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "decoder": {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "always",
            "split": True,
        },
    }


def unigram_bytes():
    """The same with bytes to fall back on."""
    base = json.loads(json.dumps(unigram()))
    tokens = {token for token, _ in base["model"]["vocab"]}
    missing = [f"<0x{b:02X}>" for b in range(256) if f"<0x{b:02X}>" not in tokens]
    base["model"]["vocab"] += [[token, -20.0] for token in missing]
    base["model"]["byte_fallback"] = True
    return base


@functools.cache
def wordlevel():
    """Whole words."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(
        vocab_size=2000, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return json.loads(tokenizer.to_str())


@functools.cache
def affixes():
    """The first GPT's: characters, with a suffix at the end of a word."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        special_tokens=["<unk>"],
        end_of_word_suffix="</w>",
        limit_alphabet=100,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    base = json.loads(tokenizer.to_str())
    return base | {"decoder": {"type": "BPEDecoder", "suffix": "</w>"}}


@functools.cache
def prefixes():
    """A prefix on all but the first character of a word."""
    tokenizer = tokenizers.Tokenizer(
        models.BPE(unk_token="<unk>", continuing_subword_prefix="##", fuse_unk=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        special_tokens=["<unk>"],
        continuing_subword_prefix="##",
        limit_alphabet=100,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return json.loads(tokenizer.to_str())


@functools.cache
def characters():
    """BPE over characters, with some bytes to fall back on and some not."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=["<unk>"], limit_alphabet=120, show_progress=False
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    for byte in range(0x80, 0xE6):
        model["vocab"].setdefault(f"<0x{byte:02X}>", len(model["vocab"]))
    return document(
        model["vocab"],
        model["merges"],
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        model=model | {"byte_fallback": True, "fuse_unk": True},
        added_tokens=special("<unk>"),
        decoder={
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "first",
            "split": False,
        },
    )


MADE = {
    "minilm_whole": minilm_whole,
    "wordpiece": wordpiece,
    "unigram": unigram,
    "unigram_bytes": unigram_bytes,
    "wordlevel": wordlevel,
    "affixes": affixes,
    "prefixes": prefixes,
    "characters": characters,
}


def text_of(name):
    """The document of a family by name."""
    if name == "smollm2":
        return smollm2()
    return json.dumps(MADE[name]()) if name in MADE else packaged(name)


NAMES = ["smollm2", *PACKAGED, *MADE]
