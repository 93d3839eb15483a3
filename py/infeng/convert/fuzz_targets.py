"""What the readers of foreign files are fuzzed with: for each, good inputs and a function that
reads any. fuzz_test.py damages whole files, reader_fuzz.py is guided by coverage, and
corpus_test.py replays what that has found.

A coverage-guided target's input is the part of a file that says what there is; the weights, which
are most of a file and none of its logic, are zeros or ones that are put after it."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gguf.constants import GGMLQuantizationType as Kind

from infeng.adapter import load_peft
from infeng.convert import Recipe, open_source
from infeng.convert.config import ModelConfig
from infeng.convert.converter import _blocks, _check_finite, _check_texts
from infeng.convert.families import from_huggingface
from infeng.convert.quantize import quantize_int8
from infeng.errors import InputError
from infeng.testing import small_model as small
from infeng.testing.small_adapter import adapter_tensors, write_adapter


def consume(path: Path) -> bool:
    """Do what convert does but write; whether it went well."""
    try:
        source = open_source(path)
        _check_texts(source, path)
        for name, shape in source.config.shapes().items():
            layout = Recipe("f32").layout(name, shape)
            for start, stop in _blocks(layout):
                weights = source.rows(name, start, stop)
                _check_finite(weights, f"{path}: {name}")
                if len(shape) == 2 and shape[1] % 32 == 0:
                    quantize_int8(weights, 32)
    except InputError as e:
        assert "\n" not in str(e) and str(path.parent) in str(e), e
        return False
    return True


@functools.cache
def _base() -> ModelConfig:
    return from_huggingface(small.config(), "config.json", {}, "")[0]


def consume_adapter(folder: Path) -> bool:
    """Load a PEFT folder for the small model; whether it went well."""
    try:
        load_peft(folder, _base())
    except InputError as e:
        assert "\n" not in str(e) and str(folder) in str(e), e
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Target:
    """seeds: inputs that are read well. read: writes an input's files into the folder, reads
    them, and tells whether that went well; any exception is a defect."""

    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path, bytes], bool]


def _header(path: Path) -> bytes:
    """The JSON at the front of a safetensors file."""
    data = path.read_bytes()
    return data[8 : 8 + int.from_bytes(data[:8], "little")]


def _write_safetensors(path: Path, header: bytes, weights: int) -> None:
    """weights: how many zeros of float32 follow the header."""
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4 * weights))


_WEIGHTS = sum(map(math.prod, small.shapes().values()))
_ADAPTER_WEIGHTS = sum(values.size for values in adapter_tensors().values())
# Of GGUF: a factor of RoPE may not be zero.
_ONES = np.ones(_WEIGHTS + 64, "<f4").tobytes()


def _huggingface(folder: Path) -> Path:
    """A good model, made once."""
    if not folder.is_dir():
        small.write_huggingface(folder, small.random_weights())
    return folder


def _gguf_seeds(folder: Path) -> list[bytes]:
    result = []
    for kind in (Kind.F32, Kind.Q4_0):
        for sentencepiece in (False, True):
            weights = {n: np.zeros(s, np.float32) for n, s in small.shapes().items()}
            path = small.write_gguf(folder / "seed.gguf", weights, kind, sentencepiece)
            data = path.read_bytes()
            # The last name, then its dimensions, type and offset.
            result.append(data[: data.index(b"output_norm.weight") + 18 + 4 + 8 + 4 + 8])
    return result


def _read_gguf(folder: Path, data: bytes) -> bool:
    path = folder / "m.gguf"
    path.write_bytes(data + bytes(-len(data) % 32) + _ONES)
    return consume(path)


def _safetensors_seeds(folder: Path) -> list[bytes]:
    return [_header(_huggingface(folder / "seed") / "model.safetensors")]


def _read_safetensors(folder: Path, data: bytes) -> bool:
    model = _huggingface(folder / "st")
    _write_safetensors(model / "model.safetensors", data, _WEIGHTS)
    return consume(model)


def _config_seeds(folder: Path) -> list[bytes]:
    rope = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    rope["original_max_position_embeddings"] = 128
    configs = [
        small.config(),
        small.config() | {"rope_scaling": rope, "eos_token_id": [2, 1]},
        small.config() | {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        small.config() | {"model_type": "mistral", "architectures": ["MistralForCausalLM"]},
    ]
    return [json.dumps(config).encode() for config in configs]


def _read_config(folder: Path, data: bytes) -> bool:
    model = _huggingface(folder / "hf")
    (model / "config.json").write_bytes(data)
    return consume(model)


_BETWEEN = b"\0"  # what separates adapter_config.json from the header of the weights


def _peft_seeds(folder: Path) -> list[bytes]:
    result = []
    variants: list[dict[str, Any]] = [{}, {"use_rslora": True, "alpha_pattern": {"down_proj": 4}}]
    for changes in variants:
        made = write_adapter(folder / "seed", **changes)
        header = _header(made / "adapter_model.safetensors")
        result.append((made / "adapter_config.json").read_bytes() + _BETWEEN + header)
    return result


def _read_peft(folder: Path, data: bytes) -> bool:
    adapter = folder / "peft"
    adapter.mkdir(exist_ok=True)
    config, _, header = data.partition(_BETWEEN)
    (adapter / "adapter_config.json").write_bytes(config)
    _write_safetensors(adapter / "adapter_model.safetensors", header, _ADAPTER_WEIGHTS)
    return consume_adapter(adapter)


TARGETS = {
    "config": Target(_config_seeds, _read_config),
    "gguf": Target(_gguf_seeds, _read_gguf),
    "peft": Target(_peft_seeds, _read_peft),
    "safetensors": Target(_safetensors_seeds, _read_safetensors),
}
