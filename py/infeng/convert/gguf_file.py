"""One GGUF file (version 2 or 3, little-endian): checked whole before use, then read by rows.

The gguf package knows the block types and dequantises them; it trusts what it reads, so the
structure is walked here first, with every length held against the file. Source of the rules:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

from __future__ import annotations

import dataclasses
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from infeng.convert.source import Int4Blocks, bfloat16_to_float32
from infeng.errors import InputError
from infeng.files import map_file
from infeng.jsontext import short

_MAGIC = b"GGUF"
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 10: "<Q", 11: "<q"}
_SCALARS |= {12: "<d"}
_BOOL, _STRING, _ARRAY = 7, 8, 9
_MAX_DIMS = 4
_DEFAULT_ALIGNMENT = 32


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """A tensor's type, shape (rows first, as numpy has it) and place in the file in bytes."""

    type: GGMLQuantizationType
    shape: tuple[int, ...]
    start: int
    row_bytes: int

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape[:-1]) * self.row_bytes


class GgufFile:
    """The metadata and tensors of a file by key. Raises InputError for any breach of the format."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = map_file(path)
        self._at = 0
        self.metadata: dict[str, Any] = {}
        self.tensors: dict[str, TensorInfo] = {}
        self._read()

    def _fail(self, problem: str) -> InputError:
        return InputError(f"{self.path}: {problem}")

    # The walk: each step takes bytes at self._at, and none goes beyond the file.

    def _take(self, size: int, what: str) -> memoryview:
        if size > len(self._data) - self._at:
            raise self._fail(f"{what} goes beyond the end of the file: truncated or damaged")
        start, self._at = self._at, self._at + size
        return self._data[start : self._at]

    def _number(self, code: str, what: str) -> Any:
        return struct.unpack(code, self._take(struct.calcsize(code), what))[0]

    def _text(self, what: str) -> str:
        raw = self._take(self._number("<Q", what), what)
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as e:
            raise self._fail(f"{what} is not UTF-8") from e

    def _value(self, kind: int, what: str) -> Any:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind], what)
        if kind == _BOOL:
            return self._number("<B", what) != 0
        if kind == _STRING:
            return self._text(what)
        if kind == _ARRAY:
            return self._array(what)
        raise self._fail(f"{what} has the unknown type {kind}")

    def _array(self, what: str) -> Any:
        kind, count = self._number("<I", what), self._number("<Q", what)
        if kind in _SCALARS or kind == _BOOL:
            dtype = np.dtype(_SCALARS.get(kind, "<B"))
            raw = self._take(count * dtype.itemsize, what)
            return np.frombuffer(raw, dtype).tolist()
        if kind != _STRING:
            raise self._fail(f"{what} is an array of the unsupported type {kind}")
        if count * 8 > len(self._data) - self._at:
            raise self._fail(f"{what} goes beyond the end of the file: truncated or damaged")
        return [self._text(what) for _ in range(count)]

    def _read(self) -> None:
        if bytes(self._take(4, "the magic number")) != _MAGIC:
            raise self._fail("not a GGUF file: it does not begin with 'GGUF'")
        version = self._number("<I", "the version")
        if version not in (2, 3):
            kind = "big-endian GGUF" if version in (2 << 24, 3 << 24) else f"GGUF version {version}"
            raise self._fail(f"{kind} is not supported, only little-endian versions 2 and 3 are")
        tensor_count = self._number("<Q", "the number of tensors")
        for i in range(self._number("<Q", "the number of keys")):
            key = self._text(f"metadata key {i}")
            what = f"metadata {short(key)}"
            if key in self.metadata:
                raise self._fail(f"{what} is there twice")
            self.metadata[key] = self._value(self._number("<I", what), what)
        infos = [self._tensor_info(i) for i in range(tensor_count)]
        self._place(infos)

    def _tensor_info(self, index: int) -> tuple[str, list[int], int, int]:
        name = self._text(f"name of tensor {index}")
        what = f"tensor {short(name)}"
        dims = self._number("<I", what)
        if not 1 <= dims <= _MAX_DIMS:
            raise self._fail(f"{what} has {dims} dimensions, not 1 to {_MAX_DIMS}")
        shape = [self._number("<Q", what) for _ in range(dims)]
        return name, shape[::-1], self._number("<I", what), self._number("<Q", what)

    def _place(self, infos: list[tuple[str, list[int], int, int]]) -> None:
        alignment = self.metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if type(alignment) is not int or alignment < 8 or alignment % 8 or alignment > 1 << 20:
            raise self._fail(f"general.alignment: {short(alignment)} is no valid alignment")
        base = -(-self._at // alignment) * alignment
        for name, shape, kind, offset in infos:
            what = f"tensor {short(name)}"
            if name in self.tensors:
                raise self._fail(f"{what} is there twice")
            if kind not in GGMLQuantizationType.__members__.values():
                raise self._fail(f"{what} has the unknown type {kind}")
            block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
            if 0 in shape or max(shape) >= 1 << 40 or shape[-1] % block:
                raise self._fail(f"{what} has shape {shape}, which its type cannot have")
            if offset % alignment:
                raise self._fail(
                    f"{what} begins at {offset}, which is not a multiple of {alignment}"
                )
            info = TensorInfo(
                GGMLQuantizationType(kind),
                tuple(shape),
                base + offset,
                shape[-1] // block * block_bytes,
            )
            if info.stop > len(self._data):
                raise self._fail(f"{what} ends beyond the end of the file: truncated or damaged")
            self.tensors[name] = info
        end = base
        for name, info in sorted(self.tensors.items(), key=lambda item: item[1].start):
            if info.start < end:
                raise self._fail(f"tensor {short(name)} overlaps another")
            end = info.stop

    def _raw(self, info: TensorInfo, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        raw = np.frombuffer(self._data[info.start : info.stop], np.uint8)
        return raw.reshape(-1, info.row_bytes)[rows]

    def int4(self, name: str, rows: NDArray[np.intp]) -> Int4Blocks | None:
        """The given rows of a matrix of type Q4_0 or Q4_1 as they are; None for other types.

        Both have a block of 32 as a few binary16, then 16 bytes whose lower halves are the first
        16 weights. Q4_0 is scale * (q - 8): the minimum is -8 scales, which binary16 holds exactly."""
        info = self.tensors[name]
        if info.type == GGMLQuantizationType.Q4_0:
            block = np.dtype([("scale", "<f2"), ("q", "u1", 16)])
        elif info.type == GGMLQuantizationType.Q4_1:
            block = np.dtype([("scale", "<f2"), ("minimum", "<f2"), ("q", "u1", 16)])
        else:
            return None
        blocks = self._raw(info, rows).view(block)
        q = np.concatenate([blocks["q"] & 15, blocks["q"] >> 4], axis=-1)
        scales = blocks["scale"].astype(np.float16)
        with np.errstate(over="ignore"):
            offset = np.float16(-8) * scales
        minima = (
            blocks["minimum"].astype(np.float16) if "minimum" in (block.names or ()) else offset
        )
        return Int4Blocks(q.reshape(len(rows), -1), scales, minima)

    def rows(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The given rows of a tensor of one or two dimensions: [len(rows), K] float32.

        A vector is one row. Exact: each type's blocks have one value per weight in float32."""
        info = self.tensors[name]
        raw = self._raw(info, rows)
        if info.type == GGMLQuantizationType.F32:
            return raw.view("<f4").astype(np.float32, copy=False)
        if info.type == GGMLQuantizationType.F16:
            return raw.view("<f2").astype(np.float32)
        if info.type == GGMLQuantizationType.BF16:
            return bfloat16_to_float32(raw.view("<u2"))
        # Damaged scales give infinities, which the converter reports by tensor.
        with np.errstate(all="ignore"):
            return dequantize(raw, info.type).astype(np.float32, copy=False)
