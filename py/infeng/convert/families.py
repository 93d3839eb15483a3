"""The supported model families: what each has beyond the first Llama, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

from infeng.convert.config import ModelConfig
from infeng.convert.rope import Rope, make_rope
from infeng.jsontext import Fields, short

# Which layers see a window only, where config.json has no layer_types.
Windows = Literal["none", "all", "upper", "alternate", "pattern", "nope"]


@dataclasses.dataclass(frozen=True)
class Family:
    """What config.json's model_type stands for.

    qkv_bias: q, k and v have biases whatever attention_bias says; else that key is for q, k, v and o.
    gemma: norms multiply by 1 + weight, embeddings are scaled by sqrt(hidden_size), the MLP's
    activation is GELU. fused: q, k and v are one tensor, gate and up another."""

    model_type: str
    architecture: str
    tied: bool = False
    head_dim: int | None = None
    qkv_bias: bool = False
    biases: bool = False
    qk_norm: bool = False
    gemma: bool = False
    soft_caps: bool = False
    fused: bool = False
    nope: bool = False
    windows: Windows = "none"


_FAMILIES = {
    family.model_type: family
    for family in (
        Family("llama", "LlamaForCausalLM", biases=True),
        Family("mistral", "MistralForCausalLM", windows="all"),
        Family("qwen2", "Qwen2ForCausalLM", qkv_bias=True, windows="upper"),
        Family(
            "qwen3", "Qwen3ForCausalLM", head_dim=128, qk_norm=True, biases=True, windows="upper"
        ),
        Family(
            "gemma2", "Gemma2ForCausalLM", tied=True, head_dim=256, gemma=True, biases=True,
            soft_caps=True, windows="alternate",
        ),
        Family(
            "gemma3_text", "Gemma3ForCausalLM", tied=True, head_dim=256, gemma=True, biases=True,
            qk_norm=True, soft_caps=True, windows="pattern",
        ),
        Family(
            "smollm3", "SmolLM3ForCausalLM", tied=True, biases=True, nope=True, windows="nope"
        ),
        Family("phi3", "Phi3ForCausalLM", fused=True, windows="all"),
    )
}  # fmt: skip

# Any other value of these changes the computation in a way that the engine does not do.
_ONLY: dict[str, tuple[object, ...]] = {
    "partial_rotary_factor": (1, 1.0),
    "num_experts": (),
    "num_local_experts": (),
    "quantization_config": (),
    "is_encoder_decoder": (False,),
    "rope_interleaved": (False,),
    "use_bidirectional_attention": (False,),
}


def supported() -> str:
    """The supported values of model_type, for messages."""
    return ", ".join(map(repr, sorted(_FAMILIES)))


def from_huggingface(
    values: dict[str, Any],
    where: str,
    generation: dict[str, Any],
    generation_where: str,
    context: int | None = None,
) -> tuple[ModelConfig, Family]:
    """The configuration in a config.json, and the family.

    generation: the object of generation_config.json, {} without one; its eos_token_id, the ids
    that end an answer, goes before that of config.json. context: the longest sequence; it
    chooses the RoPE of models that have one for each length. Raises InputError for what is
    missing, wrong or not supported, with file and key."""
    f = Fields(values, where)
    model_type = f.get("model_type", str)
    family = _FAMILIES.get(model_type)
    if family is None:
        raise f.fail("model_type", f"{short(model_type)} is not supported, only {supported()} are")
    f.refuse("architectures", [family.architecture])
    for key, allowed in _ONLY.items():
        f.refuse(key, *allowed)
    hidden = f.positive("hidden_size")
    heads = f.positive("num_attention_heads")
    head_dim = f.get("head_dim", int, family.head_dim)
    if head_dim is None:
        if hidden % heads:
            raise f.fail("num_attention_heads", f"{heads} does not divide hidden_size {hidden}")
        head_dim = hidden // heads
    # Needed for what follows; check() says whether they are sensible.
    layers = f.positive("num_hidden_layers", limit=1 << 13)
    if head_dim < 2 or head_dim % 2 or head_dim > 1 << 20:
        raise f.fail("head_dim", f"{head_dim} is not an even number in 2 ... {1 << 20}")
    longest = f.positive("max_position_embeddings")
    types = _layer_types(f, family, layers)
    window = _window(f, family)
    ropes, local = _ropes(f, family, head_dim, longest, context)
    eos = _ids(Fields(generation, generation_where), "eos_token_id") or _ids(f, "eos_token_id")
    biases = f.get("attention_bias", bool, False) if family.biases else False
    for key in ("attention_bias", "mlp_bias"):
        if not family.biases:
            f.refuse(key, False)
    config = ModelConfig(
        hidden_size=hidden,
        intermediate_size=f.positive("intermediate_size"),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=f.positive("num_key_value_heads", heads),
        head_dim=head_dim,
        vocab_size=f.positive("vocab_size"),
        max_position_embeddings=ropes.context,
        rms_norm_eps=f.get("rms_norm_eps", float),
        rope_theta=ropes.theta,
        tie_word_embeddings=f.get("tie_word_embeddings", bool, family.tied),
        bos_token_id=next(iter(_ids(f, "bos_token_id")), None),
        eos_token_ids=eos,
        hidden_act=_activation(f, family),
        attention_bias=biases or family.qkv_bias,
        attention_output_bias=biases,
        mlp_bias=f.get("mlp_bias", bool, False) if family.biases else False,
        qk_norm=family.qk_norm,
        post_norms=family.gemma,
        embedding_multiplier=float(hidden) ** 0.5 if family.gemma else 1.0,
        query_pre_attn_scalar=(
            float(f.positive("query_pre_attn_scalar", 256)) if family.gemma else None
        ),
        attn_logit_softcapping=_soft_cap(f, family, "attn_logit_softcapping", 50.0),
        final_logit_softcapping=_soft_cap(f, family, "final_logit_softcapping", 30.0),
        rope_factors=ropes.factors,
        rope_attention_factor=ropes.attention_factor,
        rope_local_base_freq=local,
        layer_windows=tuple(window if t == "sliding_attention" else 0 for t in types),
        layer_ropes=_layer_ropes(f, family, types, local),
    )
    return config.normal().check(where), family


def _activation(f: Fields, family: Family) -> str:
    if not family.gemma:
        f.refuse("hidden_act", "silu")
        return "silu"
    # hidden_act is what Gemma's config.json said before, and it meant this all the same.
    f.refuse("hidden_activation", "gelu_pytorch_tanh")
    f.refuse("hidden_act", "gelu_pytorch_tanh", "gelu")
    return "gelu_pytorch_tanh"


def _soft_cap(f: Fields, family: Family, key: str, default: float) -> float:
    if not family.soft_caps:
        f.refuse(key)
        return 0.0
    if key not in f.values and family.model_type == "gemma2":
        return default
    return f.get(key, float, 0.0)


def _window(f: Fields, family: Family) -> int:
    if family.windows == "none":
        f.refuse("sliding_window")
        f.refuse("use_sliding_window", False)
        return 0
    switch = family.windows in ("upper", "nope")
    if switch and not f.get("use_sliding_window", bool, False):
        return 0
    window = f.get("sliding_window", int, None)
    # As great as the context or greater: it never narrows.
    return 0 if window is None else f.positive("sliding_window")


def _layer_types(f: Fields, family: Family, layers: int) -> list[str]:
    types = f.get("layer_types", list, None)
    if types is not None:
        kinds = ("full_attention", "sliding_attention")
        if len(types) != layers or any(t not in kinds for t in types):
            raise f.fail("layer_types", f"expected {layers} of {kinds}, found {short(types)}")
        return types
    full, sliding = "full_attention", "sliding_attention"

    def pick(slides: Iterable[bool]) -> list[str]:
        return [sliding if s else full for s in slides]

    if family.windows == "all":
        return [sliding] * layers
    if family.windows == "upper":
        first = f.get("max_window_layers", int, 28)
        return pick(i >= first for i in range(layers))
    if family.windows in ("alternate", "pattern"):
        default = 2 if family.windows == "alternate" else 6
        every = f.positive("sliding_window_pattern", default)
        return pick((i + 1) % every != 0 for i in range(layers))
    if family.windows == "nope":
        return pick(not rope for rope in _rope_layers(f, layers))
    return [full] * layers


def _rope_layers(f: Fields, layers: int) -> list[bool]:
    """Which layers have RoPE: no_rope_layers holds a 1 for those that do."""
    marks = f.get("no_rope_layers", list, None)
    if marks is None:
        every = f.positive("no_rope_layer_interval", 4)
        return [(i + 1) % every != 0 for i in range(layers)]
    if len(marks) != layers or any(m not in (0, 1) for m in marks):
        raise f.fail("no_rope_layers", f"expected {layers} of 0 and 1, found {short(marks)}")
    return [bool(m) for m in marks]


def _layer_ropes(f: Fields, family: Family, types: list[str], local: float) -> tuple[str, ...]:
    if family.nope:
        return tuple("global" if rope else "none" for rope in _rope_layers(f, len(types)))
    return tuple("local" if local and t == "sliding_attention" else "global" for t in types)


def _ropes(
    f: Fields, family: Family, head_dim: int, longest: int, context: int | None
) -> tuple[Rope, float]:
    # rope_parameters is what transformers writes since version 5, rope_scaling what it wrote before.
    key = "rope_parameters" if f.values.get("rope_parameters") is not None else "rope_scaling"
    rope = Fields(f.get(key, dict, {}), f"{f.where}: {key}")
    local = 0.0
    if family.model_type == "gemma3_text":
        local = f.get("rope_local_base_freq", float, 10000.0)
        if "full_attention" in rope.values:
            slides = Fields(rope.get("sliding_attention", dict, {}), f"{rope.where}: sliding")
            slides.refuse("rope_type", "default")
            local = slides.get("rope_theta", float, local)
            rope = Fields(rope.get("full_attention", dict), f"{rope.where}: full_attention")
    theta = rope.get("rope_theta", float, f.get("rope_theta", float, None))
    if theta is None:
        raise f.fail("rope_theta", "missing")
    if not 1 <= theta < 1e30:
        raise f.fail("rope_theta", f"{theta} is not in 1 ... 1e30")
    original = f.get("original_max_position_embeddings", int, None)
    if original is not None:
        f.positive("original_max_position_embeddings")
    return make_rope(rope, theta, head_dim, longest, original, context), local


def _ids(f: Fields, key: str) -> tuple[int, ...]:
    value = f.values.get(key)
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if any(type(i) is not int for i in ids):
        raise f.fail(key, f"expected an id or a list of ids, found {short(value)}")
    return tuple(dict.fromkeys(ids))
