"""A GGUF file as a source: the architectures llama (Mistral and SmolLM2 too), qwen2 and qwen3."""

from __future__ import annotations

import dataclasses
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
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
}
_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}

# Every key of an architecture that is read or changes nothing; another one may change the computation.
_KEYS = frozenset(
    (
        "block_count", "context_length", "embedding_length", "feed_forward_length",
        "attention.head_count", "attention.head_count_kv", "attention.key_length",
        "attention.value_length", "attention.layer_norm_rms_epsilon", "rope.dimension_count",
        "rope.freq_base", "rope.scaling.type", "vocab_size", "expert_count", "expert_used_count",
        "attention.sliding_window", "tensor_data_layout",
    )
)  # fmt: skip

_ROPE_FACTORS = "rope_freqs.weight"


@dataclasses.dataclass(frozen=True)
class _Architecture:
    """permuted: rows of q and k that RoPE pairs lie side by side. qk_norm: of each head."""

    permuted: bool = False
    qk_norm: bool = False


_ARCHITECTURES = {
    "llama": _Architecture(permuted=True),
    "qwen2": _Architecture(),
    "qwen3": _Architecture(qk_norm=True),
}


class GgufSource:
    """A checked file; see Source."""

    def __init__(self, path: Path, context: int | None = None) -> None:
        if context is not None:
            raise UsageError(
                f"{path}: --context {context}: GGUF files have no RoPE that depends on the context"
            )
        self.files = [path]
        self._file = GgufFile(path)
        f = Fields(self._file.metadata, str(path))
        self.family = f.get("general.architecture", str)
        if self.family not in _ARCHITECTURES:
            known = ", ".join(map(repr, _ARCHITECTURES))
            raise f.fail(
                "general.architecture", f"{short(self.family)} is not supported, only {known} are"
            )
        self._architecture = _ARCHITECTURES[self.family]
        self.config = _config(f, self.family, self._file, self._rope_factors(path))
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
        for name in tensors.keys() - set(self._names.values()) - {_ROPE_FACTORS}:
            raise InputError(
                f"{path}: tensor {short(name)} is none of the tensors of this architecture"
            )

    def _rope_factors(self, path: Path) -> tuple[float, ...]:
        info = self._file.tensors.get(_ROPE_FACTORS)
        if info is None:
            return ()
        where = f"{path}: tensor {_ROPE_FACTORS!r}"
        if info.type != GGMLQuantizationType.F32 or len(info.shape) != 1:
            raise InputError(f"{where}: expected a vector of F32")
        factors = self._file.rows(_ROPE_FACTORS, np.arange(1))[0]
        if not (np.isfinite(factors).all() and (factors >= 1 / 1024).all()):
            raise InputError(f"{where}: has a factor that is not finite, or less than 1/1024")
        return () if (factors == 1).all() else tuple(map(float, factors))

    def _check_tensor(self, where: str, info: TensorInfo, shape: tuple[int, ...]) -> None:
        if info.shape != shape:
            raise InputError(
                f"{where} has shape {list(info.shape)} where the metadata gives {list(shape)}"
            )
        if info.type not in _TYPES:
            raise InputError(f"{where}: type {info.type.name} is not supported")

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        rows = self._file.rows(self._names[name], self._rows_of(name, start, stop))
        if name.endswith(".bias") and self._is_permuted(name):
            return rows[:, _before_permutation(np.arange(rows.shape[1]), self.config.head_dim)]
        return rows

    def int4(self, name: str, start: int, stop: int) -> Int4Blocks | None:
        return self._file.int4(self._names[name], self._rows_of(name, start, stop))

    def _rows_of(self, name: str, start: int, stop: int) -> NDArray[np.intp]:
        rows = np.arange(start, stop)
        if name.endswith(".weight") and self._is_permuted(name):
            return _before_permutation(rows, self.config.head_dim)
        return rows

    def _is_permuted(self, name: str) -> bool:
        return self._architecture.permuted and (".q_proj." in name or ".k_proj." in name)


def _before_permutation(rows: NDArray[np.intp], head_dim: int) -> NDArray[np.intp]:
    """Where GGUF keeps rows of q or k: it puts the halves of a head that RoPE pairs side by side."""
    head, i = np.divmod(rows, head_dim)
    half = head_dim // 2
    return head * head_dim + i % half * 2 + i // half


def _gguf_name(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    module, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{_LAYER_NAMES[module]}.{kind}"


def _config(
    f: Fields, architecture: str, file: GgufFile, rope_factors: tuple[float, ...]
) -> ModelConfig:
    def key(name: str) -> str:
        return f"{architecture}.{name}"

    if f.get("split.count", int, 1) > 1:
        raise f.fail("split.count", "a GGUF in several files is not supported: merge them first")
    for name in sorted(f.values):
        if name.startswith(f"{architecture}.") and name.partition(".")[2] not in _KEYS:
            raise f.fail(name, "is not supported")
    f.refuse(key("rope.scaling.type"), "none")
    for name in ("expert_count", "expert_used_count", "attention.sliding_window"):
        f.refuse(key(name), 0)
    hidden = f.positive(key("embedding_length"))
    heads = f.positive(key("attention.head_count"))
    head_dim = f.positive(key("attention.key_length"), max(1, hidden // heads))
    for name in ("attention.value_length", "rope.dimension_count"):
        if f.positive(key(name), head_dim) != head_dim:
            raise f.fail(
                key(name), f"expected {head_dim} as the heads have, found {f.values[key(name)]}"
            )
    tokens = f.get("tokenizer.ggml.tokens", list)
    vocab = f.positive(key("vocab_size"), max(1, len(tokens)))
    if len(tokens) > vocab:
        raise f.fail("tokenizer.ggml.tokens", f"{len(tokens)} tokens in a vocabulary of {vocab}")
    eos = [f.get(f"tokenizer.ggml.{k}_token_id", int, None) for k in ("eos", "eot")]
    return ModelConfig(
        hidden_size=hidden,
        intermediate_size=f.positive(key("feed_forward_length")),
        num_hidden_layers=f.positive(key("block_count")),
        num_attention_heads=heads,
        num_key_value_heads=f.positive(key("attention.head_count_kv"), heads),
        head_dim=head_dim,
        vocab_size=vocab,
        max_position_embeddings=f.positive(key("context_length")),
        rms_norm_eps=f.get(key("attention.layer_norm_rms_epsilon"), float),
        rope_theta=f.get(key("rope.freq_base"), float, 10000.0),
        tie_word_embeddings="output.weight" not in file.tensors,
        bos_token_id=f.get("tokenizer.ggml.bos_token_id", int, None),
        eos_token_ids=tuple(dict.fromkeys(i for i in eos if i is not None)),
        # A bias has no key: it is there or not. One that a layer lacks is missing then.
        attention_bias="blk.0.attn_q.bias" in file.tensors,
        attention_output_bias="blk.0.attn_output.bias" in file.tensors,
        mlp_bias="blk.0.ffn_gate.bias" in file.tensors,
        qk_norm=_ARCHITECTURES[architecture].qk_norm,
        rope_factors=rope_factors,
    ).check(f.where)
