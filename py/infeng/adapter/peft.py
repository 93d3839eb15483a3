"""A PEFT folder (adapter_config.json, adapter_model.safetensors) to what the engine adds."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infeng.convert.config import ModelConfig
from infeng.convert.safetensors_file import FLOATS, SafetensorsFile
from infeng.errors import InputError
from infeng.jsontext import Fields, load_object, short

MAX_RANK = 256

_TENSOR = re.compile(
    r"base_model\.model\.(model\.layers\.(0|[1-9][0-9]{0,5})\."
    r"(?:self_attn\.((?:[qkvo]|qkv)_proj)|mlp\.(gate_proj|up_proj|down_proj|gate_up_proj)))"
    r"\.lora_([AB])\.weight"
)
# What families with fused layers call them, and the parts in the order of their outputs.
_FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
# A pattern of rank_pattern is a regular expression for the end of a module's name. Names as
# they are, the use that PEFT documents, are supported; so no input can ask for a costly match.
_PATTERN = re.compile(r"\^?[\w.]+")

# Keys of adapter_config.json that say how the adapter was made or are read below. Any other
# one must have a value that turns it off.
_HARMLESS = frozenset({
    "auto_mapping", "base_model_name_or_path", "exclude_modules", "inference_mode",
    "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout", "megatron_core",
    "peft_type", "peft_version", "qalora_group_size", "revision", "runtime_config",
    "target_modules", "task_type", "r", "lora_alpha", "use_rslora", "rank_pattern",
    "alpha_pattern", "bias", "init_lora_weights", "eva_config",
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Target:
    """One linear layer's change: y += scale * b @ (a @ x).

    layer: index. module: "q_proj", "gate_proj", ... a: [r, K] float32. b: [N, r] float32."""

    layer: int
    module: str
    a: NDArray[np.float32]
    b: NDArray[np.float32]
    scale: float


@dataclasses.dataclass(frozen=True)
class Adapter:
    """A LoRA adapter, its targets ordered by layer and module."""

    folder: Path
    targets: list[Target]

    @property
    def rank(self) -> int:
        """The greatest rank of its targets."""
        return max(len(t.a) for t in self.targets)


def load_peft(folder: Path, base: ModelConfig) -> Adapter:
    """Load an adapter for a base model.

    Raises InputError, with file and key or tensor, for what is missing, damaged or not
    supported, or does not fit the base."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: an adapter is a PEFT folder")
    config_path = folder / "adapter_config.json"
    config = _check_config(Fields(load_object(config_path), str(config_path)))
    weights = SafetensorsFile(folder / "adapter_model.safetensors")
    pairs: dict[tuple[int, str], dict[str, str]] = {}
    modules: dict[tuple[int, str], str] = {}
    for name in weights.tensors:
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise InputError(f"{weights.path}: tensor {short(name, 100)} is not supported")
        full, layer, attention, mlp, side = match.groups()
        key = int(layer), attention or mlp
        modules[key] = full
        pairs.setdefault(key, {})[side] = name
    if not pairs:
        raise InputError(f"{weights.path}: has no tensor")
    shapes = base.shapes()
    targets = []
    for key in sorted(pairs):
        layer, module = key
        prefix = modules[key].removesuffix(module)
        parts = _FUSED.get(module, (module,))
        if layer >= base.num_hidden_layers:
            raise InputError(
                f"{weights.path}: module {modules[key]!r}: the base model has only "
                f"{base.num_hidden_layers} layers"
            )
        outputs = [shapes[f"{prefix}{part}.weight"][0] for part in parts]
        shape = sum(outputs), shapes[f"{prefix}{parts[0]}.weight"][1]
        rank, alpha = config.rank_and_alpha(modules[key])
        a = _matrix(weights, pairs[key], "A", modules[key], (rank, shape[1]))
        b = _matrix(weights, pairs[key], "B", modules[key], (shape[0], rank))
        scale = alpha / (math.sqrt(rank) if config.rslora else rank)
        ends = np.cumsum(outputs)
        for part, rows in zip(parts, np.split(b, ends[:-1]), strict=True):
            if (layer, part) in pairs and part != module:
                raise InputError(f"{weights.path}: module {modules[key]!r}: {part} is there too")
            targets.append(Target(layer, part, a, np.ascontiguousarray(rows), scale))
    return Adapter(folder, sorted(targets, key=lambda t: (t.layer, t.module)))


@dataclasses.dataclass(frozen=True)
class _Config:
    rank: int
    alpha: float
    rslora: bool
    ranks: dict[str, int]
    alphas: dict[str, float]

    def rank_and_alpha(self, module: str) -> tuple[int, float]:
        return _by_pattern(self.ranks, module, self.rank), _by_pattern(
            self.alphas, module, self.alpha
        )


def _by_pattern(patterns: dict[str, Any], module: str, default: Any) -> Any:
    # PEFT takes the first pattern that matches the whole name, or what follows a dot in it.
    for pattern, value in patterns.items():
        if pattern.startswith("^"):
            if module == pattern[1:]:
                return value
        elif module == pattern or module.endswith("." + pattern):
            return value
    return default


def _check_config(f: Fields) -> _Config:
    if f.get("peft_type", str) != "LORA":
        raise f.fail("peft_type", f"{short(f.values['peft_type'])} is not supported, only LORA is")
    for key, value in f.values.items():
        if key not in _HARMLESS and value not in (None, False, {}, []):
            raise f.fail(key, f"{short(value)} is not supported")
    f.refuse("bias", "none")
    # The other ways to initialise change the base model's weights too.
    f.refuse("init_lora_weights", True, False, "gaussian", "eva", "orthogonal")
    ranks = f.get("rank_pattern", dict, {})
    alphas = f.get("alpha_pattern", dict, {})
    for key, patterns in (("rank_pattern", ranks), ("alpha_pattern", alphas)):
        for pattern in patterns:
            if not _PATTERN.fullmatch(pattern):
                raise f.fail(key, f"the pattern {short(pattern)} is not supported, only names are")
    values = Fields(ranks, f"{f.where}: rank_pattern")
    return _Config(
        rank=f.positive("r", limit=MAX_RANK + 1),
        alpha=_alpha(f, "lora_alpha"),
        rslora=f.get("use_rslora", bool, False),
        ranks={p: values.positive(p, limit=MAX_RANK + 1) for p in ranks},
        alphas={p: _alpha(Fields(alphas, f"{f.where}: alpha_pattern"), p) for p in alphas},
    )


def _alpha(f: Fields, key: str) -> float:
    alpha = f.get(key, float)
    if not math.isfinite(alpha) or abs(alpha) > 1e6:
        raise f.fail(key, f"{alpha} is no sensible scale")
    return alpha


def _matrix(
    file: SafetensorsFile, pair: dict[str, str], side: str, module: str, shape: tuple[int, int]
) -> NDArray[np.float32]:
    name = pair.get(side)
    if name is None:
        raise InputError(f"{file.path}: module {module!r}: lora_{side} is missing")
    info = file.tensors[name]
    where = f"{file.path}: tensor {name!r}"
    if info.shape != shape:
        raise InputError(
            f"{where}: shape {list(info.shape)} where the base model and rank need {list(shape)}"
        )
    if info.dtype not in FLOATS:
        raise InputError(f"{where}: dtype {info.dtype} is not supported")
    values = file.rows(name, 0, shape[0])
    if not np.isfinite(values).all():
        raise InputError(f"{where}: has a weight that is NaN or infinite")
    return values
