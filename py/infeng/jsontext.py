"""JSON that others wrote, read strictly: one InputError that names the place, or the value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar, overload

from infeng.errors import InputError, one_line
from infeng.files import read_bytes

T = TypeVar("T")

_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
}
_NAMES |= {dict: "an object", list: "an array"}


class _DuplicateKeyError(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKeyError(f"key {short(key)} twice in one object")
            seen.add(key)
    return result


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def short(value: object, limit: int = 60) -> str:
    """A value for a message: printable, quoted if a string, not longer than limit."""
    text = ascii(value) if isinstance(value, str) else one_line(ascii(value))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def parse(data: bytes | memoryview, where: str) -> Any:
    """The value of a JSON text. Raises InputError that starts with `where`."""
    try:
        return json.loads(str(data, "utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError as e:
        raise InputError(f"{where}: not valid JSON: nested too deeply") from e
    except ValueError as e:
        raise InputError(f"{where}: not valid JSON: {one_line(e)[:200]}") from e


def parse_object(data: bytes | memoryview, where: str) -> dict[str, Any]:
    """As parse, for a text that must hold an object."""
    value = parse(data, where)
    if not isinstance(value, dict):
        raise InputError(f"{where}: the JSON is not an object")
    return value


def load_object(path: Path, limit: int = 1 << 24) -> dict[str, Any]:
    """The object in a JSON file of at most `limit` bytes. Raises InputError."""
    return parse_object(read_bytes(path, limit), str(path))


class Fields:
    """An object's values by key, with their types checked.

    Raises InputError of the form "file: key: expected ..., found ...". A key whose value is
    null counts as absent."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        self.values = values
        self.where = where

    def fail(self, key: str, problem: str) -> InputError:
        # Keys are a stranger's too: line ends and a terminal's control characters among them.
        shown = key if key.isprintable() and len(key) <= 100 else short(key)
        return InputError(f"{self.where}: {shown}: {problem}")

    @overload
    def get(self, key: str, kind: type[T]) -> T: ...
    @overload
    def get(self, key: str, kind: type[T], default: None) -> T | None: ...
    @overload
    def get(self, key: str, kind: type[T], default: T) -> T: ...

    def get(self, key: str, kind: type[T], default: Any = ...) -> Any:
        """The value of a key; the default, if there is one, for an absent key."""
        value = self.values.get(key)
        if value is None:
            if default is ...:
                raise self.fail(key, "missing")
            return default
        if kind is float and type(value) is int and abs(value) < 1 << 53:
            value = float(value)
        if type(value) is not kind:
            raise self.fail(key, f"expected {_NAMES[kind]}, found {short(value)}")
        return value

    def positive(self, key: str, default: int | None = None, limit: int = 1 << 31) -> int:
        """An integer in 1 ... limit-1."""
        value = self.get(key, int) if default is None else self.get(key, int, default)
        if not 0 < value < limit:
            raise self.fail(key, f"expected an integer from 1 to {limit - 1}, found {short(value)}")
        return value

    def refuse(self, key: str, *allowed: object) -> None:
        """Raise InputError if the key has a value that is neither null nor one of allowed."""
        value = self.values.get(key)
        if value is None or any(type(value) is type(a) and value == a for a in allowed):
            return
        raise self.fail(key, f"{short(value)} is not supported")
