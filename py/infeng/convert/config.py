"""The hyper-parameters of a model, from any source, checked."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from infeng.errors import InputError

# What the INFQ reader allows; beyond it is damage, not a model.
_MAX_SIZE = 1 << 20
_MAX_LONG = 1 << 24
_MAX_LAYERS = 1 << 12  # less than it allows: their names take memory before any is found


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The `config` of an INFQ header: the names are those of Hugging Face's config.json.

    Those with a default are what a family has beyond the first Llama (docs/infq.md); a model
    with none of that is of the architecture "llama", whose header does without them."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool
    bos_token_id: int | None
    eos_token_ids: tuple[int, ...]
    hidden_act: str = "silu"
    attention_bias: bool = False
    attention_output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    post_norms: bool = False
    embedding_multiplier: float = 1.0
    query_pre_attn_scalar: float | None = None
    attn_logit_softcapping: float = 0.0
    final_logit_softcapping: float = 0.0
    rope_factors: tuple[float, ...] = ()
    rope_attention_factor: float = 1.0
    rope_local_base_freq: float = 0.0
    layer_windows: tuple[int, ...] = ()
    layer_ropes: tuple[str, ...] = ()

    def normal(self) -> ModelConfig:
        """The same with defaults where the values say as much."""
        windows = tuple(0 if w >= self.max_position_embeddings else w for w in self.layer_windows)
        same_scale = self.query_pre_attn_scalar == self.head_dim
        return dataclasses.replace(
            self,
            query_pre_attn_scalar=None if same_scale else self.query_pre_attn_scalar,
            layer_windows=windows if any(windows) else (),
            layer_ropes=() if set(self.layer_ropes) == {"global"} else self.layer_ropes,
            rope_local_base_freq=self.rope_local_base_freq if "local" in self.layer_ropes else 0.0,
        )

    @property
    def architecture(self) -> str:
        """That of the INFQ header: "llama" or "decoder"."""
        plain = all(getattr(self, f.name) == f.default for f in _features())
        return "llama" if plain else "decoder"

    def header(self) -> dict[str, Any]:
        """The values as they stand in the header."""
        values = dataclasses.asdict(self)
        if self.architecture == "llama":
            for f in _features():
                del values[f.name]
        else:
            values["query_pre_attn_scalar"] = self.query_pre_attn_scalar or float(self.head_dim)
            values["layer_windows"] = self.layer_windows or [0] * self.num_hidden_layers
            values["layer_ropes"] = self.layer_ropes or ["global"] * self.num_hidden_layers
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @staticmethod
    def from_header(values: dict[str, Any]) -> ModelConfig:
        """The inverse of header(), for a header that has been validated."""
        fields = {f.name for f in dataclasses.fields(ModelConfig)}
        known: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return ModelConfig(**{k: v for k, v in known.items() if k in fields}).normal()

    def check(self, where: str) -> ModelConfig:
        """Return self, or raise InputError for values that no model has."""

        def require(good: bool, key: str, problem: str) -> None:
            if not good:
                raise InputError(f"{where}: {key}: {problem}")

        limits = {
            "vocab_size": _MAX_LONG,
            "max_position_embeddings": _MAX_LONG,
            "num_hidden_layers": _MAX_LAYERS,
        }
        for key in (
            "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings",
        ):  # fmt: skip
            value = getattr(self, key)
            most = limits.get(key, _MAX_SIZE)
            require(0 < value <= most, key, f"{value} is not in 1 ... {most}")
        require(
            self.num_attention_heads % self.num_key_value_heads == 0,
            "num_key_value_heads",
            f"{self.num_key_value_heads} does not divide the {self.num_attention_heads} heads",
        )
        require(self.head_dim % 2 == 0, "head_dim", f"{self.head_dim} is odd: RoPE turns pairs")
        require(
            self.num_attention_heads * self.head_dim <= _MAX_LONG,
            "head_dim",
            f"{self.num_attention_heads} heads of {self.head_dim} are more than {_MAX_LONG}",
        )
        for key in (
            "rms_norm_eps", "rope_theta", "embedding_multiplier", "rope_attention_factor",
        ):  # fmt: skip
            value = getattr(self, key)
            require(math.isfinite(value) and value > 0, key, f"{value} is not positive and finite")
        for key in ("attn_logit_softcapping", "final_logit_softcapping", "rope_local_base_freq"):
            value = getattr(self, key)
            require(0 <= value < 1e30, key, f"{value} is not positive and finite")
        for key, most in (
            ("layer_windows", self.num_hidden_layers),
            ("layer_ropes", self.num_hidden_layers),
            ("rope_factors", self.head_dim // 2),
        ):
            count = len(getattr(self, key))
            require(count in (0, most), key, f"{count} values where {most} are needed")
        require(
            not self.qk_norm or self.head_dim % 16 == 0,
            "head_dim",
            f"{self.head_dim} is no multiple of 16, which norms of heads need",
        )
        ids = [("eos_token_ids", i) for i in self.eos_token_ids]
        if self.bos_token_id is not None:
            ids.append(("bos_token_id", self.bos_token_id))
        for key, i in ids:
            require(
                0 <= i < self.vocab_size, key, f"{i} is not in the vocabulary of {self.vocab_size}"
            )
        return self

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors of the model by name, in the order of computation: [N, K] or [K]."""
        c = self
        q, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (c.vocab_size, c.hidden_size)
        }
        for layer in range(c.num_hidden_layers):
            p = f"model.layers.{layer}."
            shapes |= {
                p + "input_layernorm.weight": (c.hidden_size,),
                p + "self_attn.q_proj.weight": (q, c.hidden_size),
                p + "self_attn.k_proj.weight": (kv, c.hidden_size),
                p + "self_attn.v_proj.weight": (kv, c.hidden_size),
                p + "self_attn.o_proj.weight": (c.hidden_size, q),
                p + "post_attention_layernorm.weight": (c.hidden_size,),
                p + "mlp.gate_proj.weight": (c.intermediate_size, c.hidden_size),
                p + "mlp.up_proj.weight": (c.intermediate_size, c.hidden_size),
                p + "mlp.down_proj.weight": (c.hidden_size, c.intermediate_size),
            }
            if c.post_norms:
                shapes[p + "pre_feedforward_layernorm.weight"] = (c.hidden_size,)
                shapes[p + "post_feedforward_layernorm.weight"] = (c.hidden_size,)
            if c.qk_norm:
                shapes[p + "self_attn.q_norm.weight"] = (c.head_dim,)
                shapes[p + "self_attn.k_norm.weight"] = (c.head_dim,)
            for has_bias, modules in (
                (c.attention_bias, ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
                (c.attention_output_bias, ("self_attn.o_proj",)),
                (c.mlp_bias, ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")),
            ):
                for module in modules if has_bias else ():
                    shapes[f"{p}{module}.bias"] = (shapes[f"{p}{module}.weight"][0],)
        shapes["model.norm.weight"] = (c.hidden_size,)
        if not c.tie_word_embeddings:
            shapes["lm_head.weight"] = (c.vocab_size, c.hidden_size)
        return shapes


def _features() -> tuple[dataclasses.Field[Any], ...]:
    """The fields that only the architecture "decoder" has."""
    fields = dataclasses.fields(ModelConfig)
    return tuple(f for f in fields if f.default is not dataclasses.MISSING)
