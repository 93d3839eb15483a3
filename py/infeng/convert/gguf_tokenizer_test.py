"""Tokenizers of well-known models: from tokenizer.json to a GGUF's keys and back."""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from infeng.convert.gguf_tokenizer import tokenizer_json
from infeng.errors import InputError
from infeng.native import Tokenizer as NativeTokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
TEXTS = ("code.txt", "multilingual.txt")


def document(family: str) -> dict[str, Any]:
    """The tokenizer.json of a packaged family."""
    files = os.environ[f"INFENG_TEST_TOKENIZER_{family.upper()}"].split()
    path = next((Path(p) for p in files if p.endswith("/tokenizer.json")), None)
    if path is None:
        pytest.skip(f"{family}: {next(Path(p) for p in files).read_text().strip()}")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def metadata(of: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """What a converter to GGUF writes of a tokenizer, as convert_hf_to_gguf.py does."""
    model = of["model"]
    tokens = {i: t for t, i in model["vocab"].items()} | {
        t["id"]: t["content"] for t in of["added_tokens"]
    }
    special = {t["id"]: t["special"] for t in of["added_tokens"]}
    assert sorted(tokens) == list(range(len(tokens)))
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]

    def kind(i: int) -> int:
        if tokens[i] == model["unk_token"]:
            return UNKNOWN
        if i in special:
            return CONTROL if special[i] else USER_DEFINED
        return BYTE if model["byte_fallback"] and tokens[i].startswith("<0x") else NORMAL

    values = {
        "tokens": [tokens[i] for i in range(len(tokens))],
        "token_type": [kind(i) for i in range(len(tokens))],
        "merges": merges,
        **keys,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in values.items()}


def with_scores(of: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """The same of a SentencePiece model, which has scores and no merges."""
    values = metadata(of, model="llama", **keys)
    rank: dict[str, int] = {}
    for i, merge in enumerate(values.pop("tokenizer.ggml.merges")):
        rank.setdefault(merge.replace(" ", ""), i)
    tokens = values["tokenizer.ggml.tokens"]
    return values | {"tokenizer.ggml.scores": [-float(rank.get(t, 0)) for t in tokens]}


def texts() -> list[str]:
    """Paragraphs in many languages, code, and letters at random."""
    found = [
        part
        for name in TEXTS
        for part in Path("testdata/text", name).read_text("utf-8").split("\n\n")
    ]
    letters = random.Random(1)
    alphabet = "aeiou thens.,'0123456789\n\t éß漢字кот🦊٣ÅÅ\u200b"
    found += ["".join(letters.choices(alphabet, k=letters.randrange(60))) for _ in range(2000)]
    return found


CASES: dict[str, dict[str, Any]] = {
    "llama3": {"model": "gpt2", "pre": "llama-bpe", "bos_token_id": 128000},
    "qwen3": {"model": "gpt2", "pre": "qwen2"},
    "gpt2": {"model": "gpt2", "pre": "gpt-2"},
    "llama2": {"bos_token_id": 1},
    "gemma": {"bos_token_id": 2, "add_space_prefix": False},
}


@pytest.mark.parametrize("family", CASES)
def test_texts_become_the_ids_of_the_model_s_own_tokenizer(family: str) -> None:
    of = document(family)
    make = metadata if "model" in CASES[family] else with_scores
    rebuilt = tokenizer_json(make(of, **CASES[family]), "m.gguf")
    theirs = Tokenizer.from_str(json.dumps(of))
    ours = NativeTokenizer.from_bytes(rebuilt)
    special = "".join(t["content"] for t in of["added_tokens"][:3])
    for text in [*texts(), special, f"a{special} b"]:
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, add_special_tokens=False).tolist() == ids, text
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False), text


@pytest.mark.parametrize("family", ["llama3", "llama2", "gemma"])
def test_texts_begin_with_bos_where_the_model_s_do(family: str) -> None:
    of = document(family)
    make = metadata if "model" in CASES[family] else with_scores
    bos = CASES[family]["bos_token_id"]
    for key, begins in (({}, True), ({"add_bos_token": False}, False)):
        made = tokenizer_json(make(of, **CASES[family], **key), "m.gguf")
        assert (NativeTokenizer.from_bytes(made).encode("a").tolist()[0] == bos) == begins


SMALL: dict[str, Any] = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "<0x41>", "\u2581", "a", "\u2581a"],
    "tokenizer.ggml.token_type": [UNKNOWN, CONTROL, BYTE, NORMAL, NORMAL, NORMAL],
    "tokenizer.ggml.scores": [0.0, 0.0, 0.0, -2.0, -3.0, -1.0],
    "tokenizer.ggml.bos_token_id": 1,
}


def test_bytes_stand_for_letters_that_are_no_token() -> None:
    tokenizer = NativeTokenizer.from_bytes(tokenizer_json(SMALL, "m.gguf"))
    assert tokenizer.encode("aA").tolist() == [1, 5, 2]
    assert tokenizer.decode([5, 2]) == "aA"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "t5"}, "tokenizer.ggml.model: 't5' is not supported, only 'gpt2'"),
        ({"scores": None}, "tokenizer.ggml.scores: missing"),
        ({"scores": [0.0]}, "tokenizer.ggml.scores: 1 scores for 6 tokens"),
        ({"scores": [float("nan")] * 6}, "the score of token 0 is no finite number"),
        ({"scores": ["1"] * 6}, "the score of token 0 is no finite number"),
        ({"tokens": ["a", "a"]}, "tokenizer.ggml.tokens: 'a' is there twice"),
        ({"tokens": ["<unk>", "<s>", "b", "c", "a" * 513, "d"]}, "token 4 has more than 512"),
        ({"token_type": [1, 3, 6, 1, 1, 7]}, "token 5 has the type 7"),
        ({"bos_token_id": 6}, "tokenizer.ggml.bos_token_id: 6 is not in the vocabulary of 6"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    values = SMALL | {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    with pytest.raises(InputError) as e:
        tokenizer_json(values, "m.gguf")
    assert message in str(e.value)
    assert str(e.value).startswith("m.gguf: ")
