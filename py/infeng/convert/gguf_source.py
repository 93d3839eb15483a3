"""A GGUF file of a Llama-family model as a source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf.constants import GGMLQuantizationType
from numpy.typing import NDArray

from infeng.convert.config import ModelConfig
from infeng.convert.gguf_file import GgufFile, TensorInfo
from infeng.convert.gguf_tokenizer import tokenizer_json
from infeng.convert.source import Int4Blocks
from infeng.errors import InputError, UsageError
from infeng.jsontext import Fields, short

# Types whose weights the gguf package gives back exactly as the blocks define them.
_TYPES = frozenset(
    GGMLQuantizationType[name]
    for name in (
        "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0",
        "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
    )
)  # fmt: skip

_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}

# Every llama.* key that is read or changes nothing; another one may change the computation.
_KEYS = frozenset(
    "llama." + key
    for key in (
        "block_count", "context_length", "embedding_length", "feed_forward_length",
        "attention.head_count", "attention.head_count_kv", "attention.key_length",
        "attention.value_length", "attention.layer_norm_rms_epsilon", "rope.dimension_count",
        "rope.freq_base", "rope.scaling.type", "vocab_size", "expert_count", "expert_used_count",
        "attention.sliding_window", "tensor_data_layout",
    )
)  # fmt: skip


class GgufSource:
    """A checked file; see Source."""

    def __init__(self, path: Path, context: int | None = None) -> None:
        if context is not None:
            raise UsageError(
                f"{path}: --context {context}: GGUF files have no RoPE that depends on the context"
            )
        self.files = [path]
        self.family = "llama"
        self._file = GgufFile(path)
        f = Fields(self._file.metadata, str(path))
        self.config = _config(f, "output.weight" not in self._file.tensors)
        self.tokenizer_json = tokenizer_json(self._file.metadata, str(path))
        self.chat_template = f.get("tokenizer.chat_template", str, "")
        self._names = {name: _gguf_name(name) for name in self.config.shapes()}
        self._check(path)

    def _check(self, path: Path) -> None:
        tensors = self._file.tensors
        for name, shape in self.config.shapes().items():
            info = tensors.get(self._names[name])
            if info is None:
                raise InputError(f"{path}: tensor {self._names[name]!r} is missing")
            self._check_tensor(f"{path}: tensor {self._names[name]!r}", info, shape)
        for name in tensors.keys() - set(self._names.values()):
            hint = ": scaled RoPE is not supported" if name == "rope_freqs.weight" else ""
            raise InputError(
                f"{path}: tensor {short(name)} is none of the tensors of this architecture{hint}"
            )

    def _check_tensor(self, where: str, info: TensorInfo, shape: tuple[int, ...]) -> None:
        if info.shape != shape:
            raise InputError(
                f"{where} has shape {list(info.shape)} where the metadata gives {list(shape)}"
            )
        if info.type not in _TYPES:
            raise InputError(f"{where}: type {info.type.name} is not supported")

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        return self._file.rows(self._names[name], self._rows_of(name, start, stop))

    def int4(self, name: str, start: int, stop: int) -> Int4Blocks | None:
        return self._file.int4(self._names[name], self._rows_of(name, start, stop))

    def _rows_of(self, name: str, start: int, stop: int) -> NDArray[np.intp]:
        rows = np.arange(start, stop)
        if name.endswith((".q_proj.weight", ".k_proj.weight")):
            return _before_permutation(rows, self.config.head_dim)
        return rows


def _before_permutation(rows: NDArray[np.intp], head_dim: int) -> NDArray[np.intp]:
    """Where GGUF keeps rows of q or k: it puts the halves of a head that RoPE pairs side by side."""
    head, i = np.divmod(rows, head_dim)
    half = head_dim // 2
    return head * head_dim + i % half * 2 + i // half


def _gguf_name(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_LAYER_NAMES[rest.removesuffix('.weight')]}.weight"


def _config(f: Fields, tied: bool) -> ModelConfig:
    architecture = f.get("general.architecture", str)
    if architecture != "llama":
        raise f.fail("general.architecture", f"{short(architecture)} is not supported")
    if f.get("split.count", int, 1) > 1:
        raise f.fail("split.count", "a GGUF in several files is not supported: merge them first")
    for key in sorted(f.values):
        if key.startswith("llama.") and key not in _KEYS:
            raise f.fail(key, "is not supported")
    f.refuse("llama.rope.scaling.type", "none")
    for key in ("llama.expert_count", "llama.expert_used_count", "llama.attention.sliding_window"):
        f.refuse(key, 0)
    hidden = f.positive("llama.embedding_length")
    heads = f.positive("llama.attention.head_count")
    head_dim = f.positive("llama.attention.key_length", max(1, hidden // heads))
    for key in ("llama.attention.value_length", "llama.rope.dimension_count"):
        if f.positive(key, head_dim) != head_dim:
            raise f.fail(key, f"expected {head_dim} as the heads have, found {f.values[key]}")
    tokens = f.get("tokenizer.ggml.tokens", list)
    vocab = f.positive("llama.vocab_size", max(1, len(tokens)))
    if len(tokens) > vocab:
        raise f.fail("tokenizer.ggml.tokens", f"{len(tokens)} tokens in a vocabulary of {vocab}")
    eos = [f.get(f"tokenizer.ggml.{k}_token_id", int, None) for k in ("eos", "eot")]
    return ModelConfig(
        hidden_size=hidden,
        intermediate_size=f.positive("llama.feed_forward_length"),
        num_hidden_layers=f.positive("llama.block_count"),
        num_attention_heads=heads,
        num_key_value_heads=f.positive("llama.attention.head_count_kv", heads),
        head_dim=head_dim,
        vocab_size=vocab,
        max_position_embeddings=f.positive("llama.context_length"),
        rms_norm_eps=f.get("llama.attention.layer_norm_rms_epsilon", float),
        rope_theta=f.get("llama.rope.freq_base", float, 10000.0),
        tie_word_embeddings=tied,
        bos_token_id=f.get("tokenizer.ggml.bos_token_id", int, None),
        eos_token_ids=tuple(dict.fromkeys(i for i in eos if i is not None)),
    ).check(f.where)
