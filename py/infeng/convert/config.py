"""The hyper-parameters of a Llama-family model, from any source, checked."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from infeng.errors import InputError
from infeng.jsontext import Fields, short

# What the INFQ reader allows; beyond it is damage, not a model.
_MAX_SIZE = 1 << 20
_MAX_LONG = 1 << 24
_MAX_LAYERS = 1 << 12  # less than it allows: their names take memory before any is found


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The `config` of an INFQ header: the names are those of Hugging Face's config.json."""

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

    def header(self) -> dict[str, Any]:
        """The values as they stand in the header."""
        return dataclasses.asdict(self) | {"eos_token_ids": list(self.eos_token_ids)}

    @staticmethod
    def from_header(values: dict[str, Any]) -> ModelConfig:
        """The inverse of header(), for a header that has been validated."""
        fields = [f.name for f in dataclasses.fields(ModelConfig)]
        return ModelConfig(
            **{k: values[k] for k in fields} | {"eos_token_ids": tuple(values["eos_token_ids"])}
        )

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
        for key in ("rms_norm_eps", "rope_theta"):
            value = getattr(self, key)
            require(math.isfinite(value) and value > 0, key, f"{value} is not positive and finite")
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
        shapes["model.norm.weight"] = (c.hidden_size,)
        if not c.tie_word_embeddings:
            shapes["lm_head.weight"] = (c.vocab_size, c.hidden_size)
        return shapes


# Any other value of these changes the computation in a way that the engine does not do.
_ONLY: dict[str, tuple[object, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "sliding_window": (),
    "use_sliding_window": (False,),
    "partial_rotary_factor": (1, 1.0),
    "num_experts": (),
    "num_local_experts": (),
    "quantization_config": (),
    "is_encoder_decoder": (False,),
    "rope_interleaved": (False,),
    "attn_logit_softcapping": (),
    "final_logit_softcapping": (),
}


def from_huggingface(
    values: dict[str, Any], where: str, generation: dict[str, Any], generation_where: str
) -> ModelConfig:
    """The configuration in a config.json.

    generation: the object of generation_config.json, {} without one; its eos_token_id, the ids
    that end an answer, goes before that of config.json. Raises InputError for what is missing,
    wrong or not supported, with file and key."""
    f = Fields(values, where)
    model_type = f.get("model_type", str)
    if model_type != "llama":
        raise f.fail("model_type", f"{short(model_type)} is not supported, only 'llama' is")
    f.refuse("architectures", ["LlamaForCausalLM"])
    for key, allowed in _ONLY.items():
        f.refuse(key, *allowed)
    hidden = f.positive("hidden_size")
    heads = f.positive("num_attention_heads")
    head_dim = f.get("head_dim", int, None)
    if head_dim is None:
        if hidden % heads:
            raise f.fail("num_attention_heads", f"{heads} does not divide hidden_size {hidden}")
        head_dim = hidden // heads
    eos = _ids(Fields(generation, generation_where), "eos_token_id") or _ids(f, "eos_token_id")
    return ModelConfig(
        hidden_size=hidden,
        intermediate_size=f.positive("intermediate_size"),
        num_hidden_layers=f.positive("num_hidden_layers"),
        num_attention_heads=heads,
        num_key_value_heads=f.positive("num_key_value_heads", heads),
        head_dim=head_dim,
        vocab_size=f.positive("vocab_size"),
        max_position_embeddings=f.positive("max_position_embeddings"),
        rms_norm_eps=f.get("rms_norm_eps", float),
        rope_theta=_rope_theta(f),
        tie_word_embeddings=f.get("tie_word_embeddings", bool, False),
        bos_token_id=next(iter(_ids(f, "bos_token_id")), None),
        eos_token_ids=eos,
    ).check(where)


def _ids(f: Fields, key: str) -> tuple[int, ...]:
    value = f.values.get(key)
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if any(type(i) is not int for i in ids):
        raise f.fail(key, f"expected an id or a list of ids, found {short(value)}")
    return tuple(dict.fromkeys(ids))


def _rope_theta(f: Fields) -> float:
    # rope_parameters is what transformers writes since version 5, rope_scaling what it wrote before.
    theta = f.get("rope_theta", float, None)
    for key in ("rope_scaling", "rope_parameters"):
        rope = Fields(f.get(key, dict, {}), f"{f.where}: {key}")
        for kind in ("rope_type", "type"):
            rope.refuse(kind, "default")
        unknown = set(rope.values) - {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
        if unknown:
            raise rope.fail(min(unknown), "is not supported: only the default RoPE is")
        rope.refuse("partial_rotary_factor", 1, 1.0)
        theta = rope.get("rope_theta", float, theta)
    if theta is None:
        raise f.fail("rope_theta", "missing")
    return theta
