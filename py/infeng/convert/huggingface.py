"""A Hugging Face folder as a source: config.json, *.safetensors, tokenizer.json."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infeng.convert import config as model_config
from infeng.convert.safetensors_file import FLOATS, SafetensorsFile
from infeng.convert.source import Int4Blocks
from infeng.errors import InputError
from infeng.files import read_bytes
from infeng.jsontext import Fields, load_object, short

MAX_TOKENIZER = 1 << 28


class HuggingFaceSource:
    """A checked folder; see Source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config_path = folder / "config.json"
        if not config_path.is_file():
            hint = ""
            if (folder / "adapter_config.json").is_file():
                hint = ": this is a PEFT adapter, for `infeng run --adapter NAME=FOLDER`"
            raise InputError(f"{folder}: has no config.json{hint}")
        generation = folder / "generation_config.json"
        self.config = model_config.from_huggingface(
            load_object(config_path),
            str(config_path),
            load_object(generation) if generation.is_file() else {},
            str(generation),
        )
        self.tokenizer_json = read_bytes(folder / "tokenizer.json", MAX_TOKENIZER)
        self.chat_template = _chat_template(folder)
        weights = _weights(folder)
        self.files = [config_path, folder / "tokenizer.json", *(f.path for f in weights)]
        self._tensors = self._check(weights)

    def _check(self, weights: list[SafetensorsFile]) -> dict[str, SafetensorsFile]:
        shapes = self.config.shapes()
        tied = self.config.tie_word_embeddings
        found: dict[str, SafetensorsFile] = {}
        for file in weights:
            for name, tensor in file.tensors.items():
                if name.endswith(".rotary_emb.inv_freq"):
                    continue  # a table that older checkpoints carry; it follows from rope_theta
                where = f"{file.path}: tensor {short(name)}"
                if name in found:
                    raise InputError(f"{where}: is in {found[name].path.name} too")
                head_of_tied = tied and name == "lm_head.weight"
                shape = shapes["model.embed_tokens.weight"] if head_of_tied else shapes.get(name)
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
            if name not in found:
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
        return self._tensors[name].rows(name, start, stop)


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
