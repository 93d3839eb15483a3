"""A Hugging Face folder as a source: config.json, *.safetensors, tokenizer.json."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infeng.convert.families import from_huggingface
from infeng.convert.safetensors_file import FLOATS, SafetensorsFile
from infeng.convert.source import Int4Blocks
from infeng.errors import InputError
from infeng.files import read_bytes
from infeng.jsontext import Fields, load_object, short

MAX_TOKENIZER = 1 << 28


class HuggingFaceSource:
    """A checked folder; see Source."""

    def __init__(self, folder: Path, context: int | None = None) -> None:
        self.folder = folder
        config_path = folder / "config.json"
        if not config_path.is_file():
            hint = ""
            if (folder / "adapter_config.json").is_file():
                hint = ": this is a PEFT adapter, for `infeng run --adapter NAME=FOLDER`"
            raise InputError(f"{folder}: has no config.json{hint}")
        generation = folder / "generation_config.json"
        self.config, self._family = from_huggingface(
            load_object(config_path),
            str(config_path),
            load_object(generation) if generation.is_file() else {},
            str(generation),
            context,
        )
        self.family = self._family.model_type
        self.tokenizer_json = read_bytes(folder / "tokenizer.json", MAX_TOKENIZER)
        self.chat_template = _chat_template(folder)
        weights = _weights(folder)
        self.files = [config_path, folder / "tokenizer.json", *(f.path for f in weights)]
        self._tensors = self._check(weights)

    def _stored_shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors of the folder: some families store several of ours as one."""
        shapes = dict(self.config.shapes())
        if self.config.tie_word_embeddings:
            shapes["lm_head.weight"] = shapes["model.embed_tokens.weight"]
        if self._family.fused:
            for name, shape in self.config.shapes().items():
                whole, _ = _fused(name, self.config.shapes())
                if whole != name:
                    del shapes[name]
                    rows = shapes.get(whole, (0,))[0]
                    shapes[whole] = (rows + shape[0], shape[1])
        return shapes

    def _check(self, weights: list[SafetensorsFile]) -> dict[str, SafetensorsFile]:
        shapes = self._stored_shapes()
        tied = self.config.tie_word_embeddings
        found: dict[str, SafetensorsFile] = {}
        for file in weights:
            for name, tensor in file.tensors.items():
                if name.endswith(".rotary_emb.inv_freq"):
                    continue  # a table that older checkpoints carry; it follows from rope_theta
                where = f"{file.path}: tensor {short(name)}"
                if name in found:
                    raise InputError(f"{where}: is in {found[name].path.name} too")
                shape = shapes.get(name)
                if shape is None:
                    raise InputError(f"{where}: is none of the tensors of this architecture")
                if tensor.shape != shape:
                    raise InputError(
                        f"{where}: shape {list(tensor.shape)} where config.json gives {list(shape)}"
                    )
                if tensor.dtype not in FLOATS:
                    raise InputError(
                        f"{where}: dtype {tensor.dtype} is not supported, only "
                        f"{', '.join(FLOATS)} are"
                    )
                found[name] = file
        for name in shapes:
            if name not in found and not (tied and name == "lm_head.weight"):
                raise InputError(f"{self.folder}: tensor {name!r} is missing")
        if tied and "lm_head.weight" in found:
            self._check_tied(found)
        return found

    def _check_tied(self, found: dict[str, SafetensorsFile]) -> None:
        head, embedding = "lm_head.weight", "model.embed_tokens.weight"
        for start in range(0, self.config.vocab_size, 1024):
            stop = min(start + 1024, self.config.vocab_size)
            a, b = (found[n].rows(n, start, stop) for n in (head, embedding))
            if not np.array_equal(a.view(np.uint32), b.view(np.uint32)):
                raise InputError(
                    f"{found[head].path}: tensor {head!r}: differs from {embedding!r}, "
                    "although config.json says tie_word_embeddings"
                )

    def int4(self, name: str, start: int, stop: int) -> Int4Blocks | None:
        return None

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        whole, offset = _fused(name, self.config.shapes()) if self._family.fused else (name, 0)
        values = self._tensors[whole].rows(whole, start + offset, stop + offset)
        if self._family.gemma and name.endswith("norm.weight"):
            return values + np.float32(1)  # the engine multiplies by the weight alone
        return values


# The tensors of which a fused one consists, in order.
_FUSED = {
    "self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "mlp.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj"),
}


def _fused(name: str, shapes: dict[str, tuple[int, ...]]) -> tuple[str, int]:
    """The fused tensor that holds a tensor of ours, and at which row; else the name itself, 0."""
    for whole, parts in _FUSED.items():
        own = next((part for part in parts if f".{part}." in name), None)
        if own is not None:
            before = parts[: parts.index(own)]
            at = sum(shapes[name.replace(own, part)][0] for part in before)
            return name.replace(own, whole), at
    return name, 0


def _weights(folder: Path) -> list[SafetensorsFile]:
    index_path = folder / "model.safetensors.index.json"
    if not index_path.is_file():
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise InputError(f"{folder}: has no *.safetensors file")
        return [SafetensorsFile(p) for p in paths]
    where = Fields(load_object(index_path, 1 << 26), str(index_path)).get("weight_map", dict)
    files: dict[str, SafetensorsFile] = {}
    for tensor, name in where.items():
        if not isinstance(name, str) or Path(name).name != name or "\0" in name:
            raise InputError(
                f"{index_path}: weight_map: {short(tensor)}: {short(name)} is no file name"
            )
        if name not in files:
            files[name] = SafetensorsFile(folder / name)
        if tensor not in files[name].tensors:
            raise InputError(f"{folder / name}: tensor {short(tensor)} of the index is missing")
    return [files[name] for name in sorted(files)]


def _chat_template(folder: Path) -> str:
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return str(read_bytes(path, 1 << 22), "utf-8")
        except UnicodeDecodeError as e:
            raise InputError(f"{path}: not UTF-8 at byte {e.start}") from e
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return ""
    f = Fields(load_object(path), str(path))
    value = f.values.get("chat_template")
    if isinstance(value, list):  # several templates by name
        named = {t.get("name"): t.get("template") for t in value if isinstance(t, dict)}
        value = named.get("default")
        if value is None:
            raise f.fail("chat_template", "none of the templates is named 'default'")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise f.fail("chat_template", f"expected a string, found {short(value)}")
    return value
