"""tokenizer.json rebuilt from a GGUF's metadata (byte-level BPE)."""

from __future__ import annotations

import json
from typing import Any

from infeng.jsontext import Fields, short

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED = 1, 2, 3, 4, 5

_BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}
# tokenizer.ggml.pre names the way a text is cut into words before BPE. For smollm, transformers'
# GGUF loader, by which the references are made, cuts as GPT-2 does; that no token of such a
# vocabulary holds two digits separates them all the same.
_PRE_TOKENIZERS: dict[str, dict[str, Any]] = {"gpt-2": _BYTE_LEVEL, "smollm": _BYTE_LEVEL}


def tokenizer_json(metadata: dict[str, Any], where: str) -> bytes:
    """The tokenizer of a GGUF as the bytes of a tokenizer.json, always the same for the same input.

    Raises InputError for what is missing, wrong or not supported, with file and key."""
    f = Fields(metadata, where)
    model = f.get("tokenizer.ggml.model", str)
    if model != "gpt2":
        raise f.fail(
            "tokenizer.ggml.model",
            f"{short(model)} is not supported, only 'gpt2' (byte-level BPE) is",
        )
    pre = f.get("tokenizer.ggml.pre", str)
    if pre not in _PRE_TOKENIZERS:
        known = ", ".join(map(repr, _PRE_TOKENIZERS))
        raise f.fail("tokenizer.ggml.pre", f"{short(pre)} is not supported, only {known} are")
    f.refuse("tokenizer.ggml.add_space_prefix", False)
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
        "normalizer": None,
        "pre_tokenizer": _PRE_TOKENIZERS[pre],
        "post_processor": _post_processor(f, tokens),
        "decoder": _BYTE_LEVEL | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": _merges(f, vocab),
        },
    }
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")).encode()


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
        elif kind not in (_NORMAL, _UNUSED):
            raise f.fail(key, f"token {i} has the type {short(kind)}, which is not supported")
    return added


def _post_processor(f: Fields, tokens: list[str]) -> dict[str, Any]:
    special: dict[str, Any] = {}

    def end(which: str, type_id: int) -> list[dict[str, Any]]:
        if not f.get(f"tokenizer.ggml.add_{which}_token", bool, False):
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
