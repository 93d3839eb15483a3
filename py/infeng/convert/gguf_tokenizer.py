"""tokenizer.json rebuilt from a GGUF's metadata: byte-level BPE, or SentencePiece's BPE."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from infeng.jsontext import Fields, short

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)

_BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}


def _split(digits: str) -> dict[str, Any]:
    """GPT-4's words, with so many digits in one."""
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    whole = _BYTE_LEVEL | {"use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split | {"invert": False}, whole]}


@dataclasses.dataclass(frozen=True)
class _Words:
    """What tokenizer.ggml.pre stands for. bos: whether texts begin with BOS if no key says.
    ignore_merges: a word that is a token is that token, whatever its merges make of it."""

    pre_tokenizer: dict[str, Any]
    normalizer: dict[str, Any] | None = None
    bos: bool = False
    ignore_merges: bool = False


# For smollm, transformers' GGUF loader, by which the references are made, cuts as GPT-2 does; that
# no token of such a vocabulary holds two digits separates them all the same. Qwen's NFC is that of
# its tokenizer.json; llama.cpp leaves it out.
_LLAMA3 = _Words(_split(r"\p{N}{1,3}"), bos=True, ignore_merges=True)
_WORDS = {
    "gpt-2": _Words(_BYTE_LEVEL),
    "smollm": _Words(_BYTE_LEVEL),
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "qwen2": _Words(_split(r"\p{N}"), {"type": "NFC"}),
}

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # what SentencePiece writes for a space
# SentencePiece itself allows 16 characters if not told otherwise; splits take the square of it.
_LONGEST_PIECE = 512


def tokenizer_json(metadata: dict[str, Any], where: str) -> bytes:
    """The tokenizer of a GGUF as the bytes of a tokenizer.json, always the same for the same input.

    Raises InputError for what is missing, wrong or not supported, with file and key."""
    f = Fields(metadata, where)
    model = f.get("tokenizer.ggml.model", str)
    makers = {"gpt2": _byte_level_bpe, "llama": _sentencepiece_bpe}
    if model not in makers:
        known = "'gpt2' (byte-level BPE) and 'llama' (SentencePiece BPE)"
        raise f.fail("tokenizer.ggml.model", f"{short(model)} is not supported, only {known} are")
    tokens = _strings(f, "tokenizer.ggml.tokens")
    vocab = {token: i for i, token in enumerate(tokens)}
    if len(vocab) != len(tokens):
        twice = next(token for i, token in enumerate(tokens) if vocab[token] != i)
        raise f.fail("tokenizer.ggml.tokens", f"{short(twice)} is there twice")
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(f, tokens),
        **makers[model](f, vocab),
    }
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")).encode()


def _byte_level_bpe(f: Fields, vocab: dict[str, int]) -> dict[str, Any]:
    pre = f.get("tokenizer.ggml.pre", str)
    if pre not in _WORDS:
        known = ", ".join(map(repr, _WORDS))
        raise f.fail("tokenizer.ggml.pre", f"{short(pre)} is not supported, only {known} are")
    f.refuse("tokenizer.ggml.add_space_prefix", False)
    words = _WORDS[pre]
    return {
        "normalizer": words.normalizer,
        "pre_tokenizer": words.pre_tokenizer,
        "post_processor": _post_processor(f, list(vocab), words.bos),
        "decoder": _BYTE_LEVEL | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": words.ignore_merges,
            "vocab": vocab,
            "merges": _merges(f, vocab),
        },
    }


def _sentencepiece_bpe(f: Fields, vocab: dict[str, int]) -> dict[str, Any]:
    # As transformers converts a tokenizer.model of Llama 2 or Gemma.
    prefix = f.get("tokenizer.ggml.add_space_prefix", bool, True)
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    normalizers = [{"type": "Prepend", "prepend": _SPACE}] if prefix else []
    back = {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}
    decoders: list[dict[str, Any]] = [back, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    types = f.get("tokenizer.ggml.token_type", list)
    unknown = next((t for t, kind in zip(vocab, types) if kind == _UNKNOWN), None)
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*normalizers, replace]},
        "pre_tokenizer": None,
        "post_processor": _post_processor(f, list(vocab), bos=True),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": _merges_by_score(f, vocab, types),
        },
    }


def _merges_by_score(f: Fields, vocab: dict[str, int], types: list[Any]) -> list[list[str]]:
    """SentencePiece has no merges: it joins the two neighbours whose whole has the best score."""
    key = "tokenizer.ggml.scores"
    scores = f.get(key, list)
    if len(scores) != len(vocab):
        raise f.fail(key, f"{len(scores)} scores for {len(vocab)} tokens")
    found: list[tuple[float, str, str]] = []
    for (token, i), kind in zip(vocab.items(), types):
        if type(scores[i]) is not float or not math.isfinite(scores[i]):
            raise f.fail(key, f"the score of token {i} is no finite number")
        if len(token) > _LONGEST_PIECE:
            raise f.fail(
                "tokenizer.ggml.tokens", f"token {i} has more than {_LONGEST_PIECE} letters"
            )
        if kind not in (_NORMAL, _USER_DEFINED):
            continue
        pairs = ((token[:at], token[at:]) for at in range(1, len(token)))
        known = [pair for pair in pairs if pair[0] in vocab and pair[1] in vocab]
        known.sort(key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
        found += [(scores[i], *pair) for pair in known]
    found.sort(key=lambda m: (m[0], len(m[1]), len(m[2])), reverse=True)
    return [[left, right] for _, left, right in found]


def _strings(f: Fields, key: str) -> list[str]:
    values = f.get(key, list)
    if not all(isinstance(v, str) for v in values):
        raise f.fail(key, "expected an array of strings")
    return values


def _merges(f: Fields, vocab: dict[str, int]) -> list[list[str]]:
    key = "tokenizer.ggml.merges"
    merges = []
    for i, merge in enumerate(_strings(f, key)):
        pair = merge.split(" ")
        if len(pair) != 2:
            raise f.fail(key, f"merge {i}, {short(merge)}, is no pair of tokens")
        for token in (*pair, "".join(pair)):
            if token not in vocab:
                raise f.fail(key, f"merge {i}, {short(merge)}: {short(token)} is no token")
        merges.append(pair)
    return merges


def _added_tokens(f: Fields, tokens: list[str]) -> list[dict[str, Any]]:
    key = "tokenizer.ggml.token_type"
    types = f.get(key, list)
    if len(types) != len(tokens):
        raise f.fail(key, f"{len(types)} types for {len(tokens)} tokens")
    added = []
    for i, (token, kind) in enumerate(zip(tokens, types)):
        if kind in (_CONTROL, _UNKNOWN, _USER_DEFINED):
            added.append(
                {
                    "id": i,
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": kind != _USER_DEFINED,
                }
            )
        elif kind not in (_NORMAL, _UNUSED, _BYTE):
            raise f.fail(key, f"token {i} has the type {short(kind)}, which is not supported")
    return added


def _post_processor(f: Fields, tokens: list[str], bos: bool) -> dict[str, Any]:
    special: dict[str, Any] = {}
    default = {"bos": bos, "eos": False}

    def end(which: str, type_id: int) -> list[dict[str, Any]]:
        if not f.get(f"tokenizer.ggml.add_{which}_token", bool, default[which]):
            return []
        key = f"tokenizer.ggml.{which}_token_id"
        i = f.get(key, int)
        if not 0 <= i < len(tokens):
            raise f.fail(key, f"{i} is not in the vocabulary of {len(tokens)}")
        special[tokens[i]] = {"id": tokens[i], "ids": [i], "tokens": [tokens[i]]}
        return [{"SpecialToken": {"id": tokens[i], "type_id": type_id}}]

    def text(which: str, type_id: int) -> list[dict[str, Any]]:
        sequence = {"Sequence": {"id": which, "type_id": type_id}}
        return [*end("bos", type_id), sequence, *end("eos", type_id)]

    return {
        "type": "TemplateProcessing",
        "single": text("A", 0),
        "pair": text("A", 0) + text("B", 1),
        "special_tokens": special,
    }
