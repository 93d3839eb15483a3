"""The default model's GGUF through the converter's reader."""

import hashlib
import json
import os
import random
from pathlib import Path

import gguf
import numpy as np
import pytest
from tokenizers import Tokenizer

from infeng.convert.gguf_source import GgufSource
from infeng.native import Tokenizer as NativeTokenizer

PATH = Path(os.environ["INFENG_GGUF"])
# Of the tokenizer.json that transformers 5.23.0 makes of this file, its keys sorted.
TOKENIZER_SHA256 = "7ac55059a82b22649ba752d422d8a437a79c62ee85046d1605cac6e2bb954c42"


@pytest.fixture(scope="module")
def source() -> GgufSource:
    return GgufSource(PATH)


def test_the_tokenizer_is_that_of_transformers(source: GgufSource) -> None:
    canonical = json.dumps(json.loads(source.tokenizer_json), sort_keys=True)
    assert hashlib.sha256(canonical.encode()).hexdigest() == TOKENIZER_SHA256


def test_the_native_tokenizer_reads_it(source: GgufSource) -> None:
    ours = NativeTokenizer.from_bytes(source.tokenizer_json)
    theirs = Tokenizer.from_str(source.tokenizer_json.decode())
    letters = random.Random(1)
    alphabet = "aeiou thens.,'0123456789\n\t éß漢字кот🦊٣<|im_end|>"
    for _ in range(2000):
        text = "".join(letters.choices(alphabet, k=letters.randrange(60)))
        assert ours.encode(text).tolist() == theirs.encode(text).ids, text


def test_weights_are_those_of_the_library(source: GgufSource) -> None:
    reader = {t.name: t for t in gguf.GGUFReader(PATH).tensors}

    def theirs(name: str) -> np.ndarray:
        t = reader[name]
        return gguf.quants.dequantize(t.data, t.tensor_type)

    for ours, name in (
        ("model.layers.7.self_attn.v_proj.weight", "blk.7.attn_v.weight"),
        ("model.layers.29.mlp.down_proj.weight", "blk.29.ffn_down.weight"),
        ("model.embed_tokens.weight", "token_embd.weight"),
    ):
        shape = source.config.shapes()[ours]
        assert np.array_equal(source.rows(ours, 0, shape[0]), theirs(name))
    # The rows of a head, halves first, from pairs.
    for ours, name, heads in (
        ("model.layers.3.self_attn.q_proj.weight", "blk.3.attn_q.weight", 9),
        ("model.layers.3.self_attn.k_proj.weight", "blk.3.attn_k.weight", 3),
    ):
        pairs = theirs(name).reshape(heads, 32, 2, 576)
        expected = np.concatenate([pairs[:, :, 0], pairs[:, :, 1]], axis=1).reshape(-1, 576)
        assert np.array_equal(source.rows(ours, 0, len(expected)), expected)


def test_configuration(source: GgufSource) -> None:
    c = source.config
    assert (c.hidden_size, c.intermediate_size, c.num_hidden_layers) == (576, 1536, 30)
    assert (c.num_attention_heads, c.num_key_value_heads, c.head_dim) == (9, 3, 64)
    assert (c.vocab_size, c.max_position_embeddings) == (49152, 8192)
    assert (c.rope_theta, c.tie_word_embeddings) == (100000.0, True)
    assert (c.bos_token_id, c.eos_token_ids) == (1, (2,))
    assert source.chat_template.startswith("{% for message in messages %}")
