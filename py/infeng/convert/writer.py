"""Writes an INFQ file (docs/infq.md) section by section.

The sizes of all sections follow from the configuration, so the layout is fixed before the
first weight is read. Sections are then written in any order and piece by piece; at the end
their sums are taken over the mapped file and the header goes in front."""

from __future__ import annotations

import json
import mmap
import os
import struct
from typing import Any, BinaryIO

from infeng.convert.layout import round_up
from infeng.native import xxh3_64

_MAGIC = b"INFQ"
_VERSION = 1
PRELUDE_BYTES = 64
_ALIGNMENT = 64
_NO_SUM = "0" * 16


def section(size: int) -> dict[str, Any]:
    """The header's entry of a section of `size` bytes; the writer fills in the rest."""
    return {"offset": 0, "bytes": size, "xxh3": _NO_SUM}


def _end(entry: dict[str, Any]) -> int:
    end: int = entry["offset"] + entry["bytes"]
    return end


class InfqWriter:
    """Places the sections of a header in a new, empty file and fills them.

    header: complete but for the values of `sections`, the entries made by section() that
    stand somewhere in it, in the order they take in the file. Raises OSError when the file
    system cannot hold the file, before anything is computed."""

    def __init__(
        self, file: BinaryIO, header: dict[str, Any], sections: list[dict[str, Any]]
    ) -> None:
        self._file = file
        self._header = header
        self._sections = sections
        self._bytes = self._place()
        os.posix_fallocate(file.fileno(), 0, self._bytes)

    def _place(self) -> int:
        # Greater offsets have more digits and make the header longer, so repeat until it fits.
        start = 0
        while True:
            end = start
            for s in self._sections:
                s["offset"] = round_up(end, _ALIGNMENT)
                end = _end(s)
            needed = round_up(PRELUDE_BYTES + len(self._json()), _ALIGNMENT)
            if start >= needed:
                return end
            start = needed

    def _json(self) -> bytes:
        return json.dumps(self._header, sort_keys=True, separators=(",", ":")).encode()

    def write(self, entry: dict[str, Any], at: int, data: bytes) -> int:
        """Write `data` at the byte `at` of a section and return where it ends there."""
        if at + len(data) > entry["bytes"]:
            raise ValueError(f"{at + len(data)} bytes for a section of {entry['bytes']}")
        self._file.seek(entry["offset"] + at)
        self._file.write(data)
        return at + len(data)

    def finish(self) -> int:
        """Write sums, header and prelude; return the length of the file in bytes."""
        self._file.flush()
        with mmap.mmap(self._file.fileno(), self._bytes, access=mmap.ACCESS_READ) as mapped:
            for s in self._sections:
                # Released at once: a mapping with a view on it cannot be closed.
                with memoryview(mapped) as all_, all_[s["offset"] : _end(s)] as view:
                    s["xxh3"] = f"{xxh3_64(view):016x}"
        text = self._json()
        prelude = _MAGIC + struct.pack("<IQQQ24x", _VERSION, len(text), self._bytes, xxh3_64(text))
        self._file.seek(0)
        self._file.write(prelude + struct.pack("<Q", xxh3_64(prelude)) + text)
        return self._bytes
