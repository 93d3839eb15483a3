"""One .safetensors file: checked whole before use, then read by rows.

The format: u64 length of a JSON header, the header, the data. Source of the rules: the
format's own description, https://github.com/huggingface/safetensors#format."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from infeng.convert.source import bfloat16_to_float32
from infeng.errors import InputError
from infeng.files import map_file
from infeng.jsontext import parse_object, short

MAX_HEADER = 100_000_000  # as in the reference implementation
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip
FLOATS = ("F32", "F16", "BF16")


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """A tensor's dtype, shape and place in the file, in bytes from its start."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


class SafetensorsFile:
    """The tensors of a file by name. Raises InputError for any breach of the format."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = map_file(path)
        self.tensors = self._check()

    def _fail(self, problem: str) -> InputError:
        return InputError(f"{self.path}: {problem}")

    def _check(self) -> dict[str, TensorInfo]:
        size = len(self._data)
        if size < 8:
            raise self._fail(f"{size} bytes are too few for a safetensors file")
        length = int.from_bytes(self._data[:8], "little")
        if length > min(size - 8, MAX_HEADER):
            raise self._fail(
                f"header of {length} bytes in a file of {size}: truncated or not safetensors"
            )
        header = parse_object(self._data[8 : 8 + length], f"{self.path}: header")
        header.pop("__metadata__", None)
        base = 8 + length
        tensors = {name: self._tensor(name, entry, base) for name, entry in header.items()}
        end = base
        for name, t in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
            if t.start != end:
                raise self._fail(f"tensor {short(name)}: its data overlaps another or leaves a gap")
            end = t.stop
        if end != size:
            raise self._fail(f"{size} bytes where the header describes {end}: truncated or damaged")
        return tensors

    def _tensor(self, name: str, entry: object, base: int) -> TensorInfo:
        where = f"tensor {short(name)}"
        if not isinstance(entry, dict):
            raise self._fail(f"{where}: expected an object, found {short(entry)}")
        dtype, shape, offsets = (entry.get(k) for k in ("dtype", "shape", "data_offsets"))
        if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
            raise self._fail(f"{where}: dtype {short(dtype)} is not known")
        if not _is_naturals(shape):
            raise self._fail(f"{where}: shape {short(shape)} is not valid")
        if not _is_naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            raise self._fail(f"{where}: data_offsets {short(offsets)} are not valid")
        needed = math.prod(shape) * _ITEM_BYTES[dtype]
        if offsets[1] - offsets[0] != needed:
            raise self._fail(
                f"{where}: {offsets[1] - offsets[0]} bytes of data where shape and dtype "
                f"need {needed}"
            )
        if base + offsets[1] > len(self._data):
            raise self._fail(f"{where}: its data ends beyond the file: truncated or damaged")
        return TensorInfo(dtype, tuple(shape), base + offsets[0], base + offsets[1])

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Rows start ... stop-1 of a tensor of one or two dimensions: [stop - start, K] float32.

        A vector is one row. The tensor's dtype must be one of FLOATS."""
        t = self.tensors[name]
        columns = t.shape[-1]
        item = _ITEM_BYTES[t.dtype]
        first = t.start + start * columns * item
        raw = self._data[first : first + (stop - start) * columns * item]
        if t.dtype == "BF16":
            values = bfloat16_to_float32(np.frombuffer(raw, np.dtype("<u2")))
        else:
            values = np.frombuffer(raw, np.dtype("<f4" if item == 4 else "<f2")).astype(np.float32)
        return values.reshape(stop - start, columns)


def _is_naturals(value: object) -> TypeGuard[list[int]]:
    # A product of eight such numbers is still cheap to compute.
    if not isinstance(value, list) or len(value) > 8:
        return False
    return all(type(i) is int and 0 <= i < 1 << 48 for i in value)
