"""Random damage to files."""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager

_LIMIT = 1 << 28
_NUMBERS = [0, 1, 2, 3, 7, 127, 128, 255, 256, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
_NUMBERS += [1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
_TEXTS = [b"null", b"-1", b"0", b"1e999", b"[]", b"{}", b'""', b"true", b"[[[[", b"NaN", b"\xff"]
_TEXTS += [b"99999999999999999999", b'"\\ud800"', b"1.5", b'"../x"', b'"F32"', b'"I64"', b"\0"]


def mutate(data: bytes, source: random.Random, front: int | None = None) -> bytes:
    """The data with one to four random changes.

    front: most changes fall into the first bytes, where headers are."""
    result = bytearray(data)
    for _ in range(source.choice([1, 1, 1, 2, 4])):
        size = len(result)
        within = size if front is None or source.random() < 0.2 else min(front, size)
        at = source.randrange(max(1, within))
        kind = source.randrange(7)
        if kind == 0:
            result[at : at + 1] = bytes([source.randrange(256)])
        elif kind == 1:
            result[at : at + 1] = bytes([(result[at] if size else 0) ^ 1 << source.randrange(8)])
        elif kind == 2:
            width = source.choice([1, 4, 8])
            number = source.choice(_NUMBERS) & ((1 << 8 * width) - 1)
            result[at : at + width] = number.to_bytes(width, "little")
        elif kind == 3:
            result[at : at + source.randrange(64)] = b""
        elif kind == 4:
            result[at:at] = source.choice(_TEXTS)
        elif kind == 5:
            begin = source.randrange(max(1, within))
            result[at:at] = result[begin : begin + source.randrange(64)]
        else:
            result[source.randrange(size + 1) :] = b""
    return bytes(result)


def mutate_json(text: bytes, source: random.Random) -> bytes:
    """A JSON text with one value or number replaced; most results are JSON still."""
    marks = [i for i, b in enumerate(text) if b in b":,["]
    at = source.choice(marks) + 1
    end = at
    while end < len(text) and text[end] not in b",]}":
        end += 1
    return text[:at] + source.choice(_TEXTS[:8] + _TEXTS[11:]) + text[end:]


@contextmanager
def memory_limit() -> Iterator[None]:
    """Let the process reserve at most 256 MiB more than now; beyond is a MemoryError."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + _LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
