"""INFQ files of kind `adapter` (docs/infq.md): written from a PEFT folder, read checked whole."""

from __future__ import annotations

import dataclasses
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infeng.adapter.peft import MAX_RANK, Adapter, Target, load_peft
from infeng.convert.config import ModelConfig
from infeng.convert.recipe import ADAPTER_DTYPES
from infeng.convert.writer import PRELUDE_BYTES, InfqWriter, section
from infeng.errors import InputError
from infeng.files import atomic_write, map_file, sha256
from infeng.jsontext import Fields, parse_object, short
from infeng.native import xxh3_64
from infeng.version import __version__

_NUMPY: dict[str, np.dtype[Any]] = {"f32": np.dtype("<f4"), "f16": np.dtype("<f2")}
_PEFT_FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclasses.dataclass(frozen=True)
class Base:
    """The model that adapters are for: its shapes and its digest (models.digest)."""

    config: ModelConfig
    digest: str


@dataclasses.dataclass(frozen=True)
class Written:
    """bytes: of the file. weights: in it. targets: linear layers that it changes."""

    bytes: int
    weights: int
    targets: int


def is_peft(path: Path) -> bool:
    """Whether a path is a PEFT folder."""
    return (path / _PEFT_FILES[0]).is_file()


def is_adapter(path: Path) -> bool:
    """Whether a file says that it is an INFQ adapter; it may be damaged all the same."""
    try:
        with path.open("rb") as file:
            front = file.read(PRELUDE_BYTES)
            length = int.from_bytes(front[8:16], "little")
            return front[:4] == b"INFQ" and b'"kind":"adapter"' in file.read(min(length, 1 << 20))
    except OSError:
        return False


def convert_adapter(folder: Path, base: Base, out: Path, dtype: str = "f32") -> Written:
    """Write a PEFT folder as an INFQ adapter for a base model. The same input gives the same bytes.

    dtype: "f32" keeps the matrices as they are, "f16" takes half the room. `out` appears when it
    is complete. Raises InputError."""
    adapter = load_peft(folder, base.config)
    entries: list[dict[str, Any]] = []
    sections: list[dict[str, Any]] = []
    for t in adapter.targets:
        entry: dict[str, Any] = {"layer": t.layer, "module": t.module, "rank": len(t.a)}
        entry |= {"scale": t.scale, "dtype": dtype}
        for side, values in (("a", t.a), ("b", t.b)):
            entry[side] = section(values.size * _NUMPY[dtype].itemsize)
            sections.append(entry[side])
        entries.append(entry)
    files = [folder / name for name in _PEFT_FILES]
    header = {
        "kind": "adapter",
        "tool": f"infeng {__version__}",
        "base": {"digest": base.digest},
        "rank": adapter.rank,
        "source": [{"file": f.name, "bytes": f.stat().st_size, "sha256": sha256(f)} for f in files],
        "targets": entries,
    }
    with atomic_write(out) as file:
        writer = InfqWriter(file, header, sections)
        for t, entry in zip(adapter.targets, entries):
            for side, values in (("a", t.a), ("b", t.b)):
                packed = values.astype(_NUMPY[dtype])
                if not np.isfinite(packed).all():
                    raise InputError(
                        f"{folder}: layer {t.layer}, {t.module}: a weight is too large for {dtype}"
                    )
                writer.write(entry[side], 0, packed.tobytes())
        size = writer.finish()
    weights = sum(t.a.size + t.b.size for t in adapter.targets)
    return Written(size, weights, len(entries))


def read_adapter_header(path: Path) -> dict[str, Any]:
    """The header of an INFQ adapter. Checks all of the file. Raises InputError."""
    return _File(path).header


def load_infq(path: Path, base: Base) -> Adapter:
    """Load an INFQ adapter for a base model. Raises InputError, for another base with both digests."""
    file = _File(path)
    found = file.header["base"]["digest"]
    if found != base.digest:
        raise InputError(
            f"{path}: made for the base model {found}, not for the one that is loaded, "
            f"{base.digest}"
        )
    return Adapter(path, file.targets(base.config))


class _File:
    """An INFQ adapter whose structure, sums and values have been checked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = map_file(path)
        self.header = self._read_header()
        self._targets = self._read_targets()

    def _fail(self, problem: str) -> InputError:
        return InputError(f"{self._path}: {problem}")

    def _read_header(self) -> dict[str, Any]:
        data = self._data
        if len(data) < PRELUDE_BYTES or data[:4] != b"INFQ":
            raise self._fail("not an INFQ file")
        if xxh3_64(data[:56]) != struct.unpack_from("<Q", data, 56)[0]:
            raise self._fail("prelude: its sum is wrong: damaged")
        version, length, size, header_sum = struct.unpack_from("<IQQQ", data, 4)
        if version != 1:
            raise self._fail(f"format version {version} is not known (1)")
        if size != len(data):
            raise self._fail(f"{len(data)} bytes where the prelude says {size}: truncated")
        if length > size - PRELUDE_BYTES:
            raise self._fail(f"a header of {length} bytes in a file of {size}")
        text = data[PRELUDE_BYTES : PRELUDE_BYTES + length]
        if xxh3_64(text) != header_sum:
            raise self._fail("header: its sum is wrong: damaged")
        header = parse_object(text, f"{self._path}: header")
        f = Fields(header, f"{self._path}: header")
        if f.get("kind", str) != "adapter":
            raise f.fail("kind", f"expected 'adapter', found {short(header['kind'])}")
        base = Fields(f.get("base", dict), f"{self._path}: header.base")
        base.get("digest", str)
        f.get("tool", str)
        f.get("source", list)
        self._end = PRELUDE_BYTES + length
        return header

    def _read_targets(self) -> list[tuple[Fields, NDArray[Any], NDArray[Any]]]:
        f = Fields(self.header, f"{self._path}: header")
        targets = []
        end = self._end
        for i, value in enumerate(f.get("targets", list)):
            where = f"{self._path}: header.targets[{i}]"
            if not isinstance(value, dict):
                raise InputError(f"{where}: expected an object, found {short(value)}")
            t = Fields(value, where)
            if t.get("dtype", str) not in ADAPTER_DTYPES:
                raise t.fail("dtype", f"{short(value['dtype'])} is not known")
            scale = t.get("scale", float)
            if not math.isfinite(scale):
                raise t.fail("scale", "not finite")
            sides = []
            for side in ("a", "b"):
                values, end = self._section(t, side, end)
                sides.append(values)
            targets.append((t, sides[0], sides[1]))
        if not targets:
            raise f.fail("targets", "there is none")
        if end != len(self._data):
            raise self._fail(f"{len(self._data)} bytes where the sections end at {end}")
        return targets

    def _section(self, target: Fields, side: str, previous_end: int) -> tuple[NDArray[Any], int]:
        s = Fields(target.get(side, dict), f"{target.where}: {side}")
        offset, size, total = s.get("offset", int), s.get("bytes", int), s.get("xxh3", str)
        # The writer's order is the only one, so nothing can overlap and no byte is unaccounted for.
        expected = -(-previous_end // 64) * 64
        if offset != expected or size < 0 or offset + size > len(self._data):
            raise s.fail("offset", f"{offset}, {size} bytes, where it must begin at {expected}")
        if any(self._data[previous_end:offset]):
            raise s.fail("offset", "the gap before it is not zero")
        raw = self._data[offset : offset + size]
        if f"{xxh3_64(raw):016x}" != total:
            raise s.fail("xxh3", "its sum is wrong: damaged")
        dtype = _NUMPY[target.values["dtype"]]
        if size % dtype.itemsize:
            raise s.fail("bytes", f"{size} is no multiple of {dtype.itemsize}")
        values = np.frombuffer(raw, dtype)
        if not np.isfinite(values).all():
            raise s.fail("bytes", "a weight is NaN or infinite")
        return values, offset + size

    def targets(self, base: ModelConfig) -> list[Target]:
        shapes = base.shapes()
        targets = []
        for t, a, b in self._targets:
            layer, module = t.get("layer", int), t.get("module", str)
            part = "self_attn" if module in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
            shape = shapes.get(f"model.layers.{layer}.{part}.{module}.weight")
            if shape is None:
                raise t.fail("module", f"the base has no layer {layer}, {short(module)}")
            rank = t.positive("rank", limit=MAX_RANK + 1)
            for side, values, needed in (("a", a, rank * shape[1]), ("b", b, shape[0] * rank)):
                if values.size != needed:
                    raise t.fail(side, f"{values.size} values where base and rank need {needed}")
            targets.append(
                Target(
                    layer,
                    module,
                    a.reshape(rank, shape[1]).astype(np.float32),
                    b.reshape(shape[0], rank).astype(np.float32),
                    t.get("scale", float),
                )
            )
        return targets
