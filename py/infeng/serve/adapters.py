"""Which adapters a server begins with."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from infeng.adapter import adapter_name
from infeng.errors import InputError

DEFAULT_NAME = "smollm2-135m-instruct"


def model_name(served: str | None, model: str | None) -> str:
    """The base model's name in requests: the one given, or its file's, or the default model's."""
    return served or (Path(model).stem if model else DEFAULT_NAME)


def find_adapters(patterns: Iterable[str], model: str) -> dict[str, Path]:
    """PEFT folders and INFQ files that match, by the names they are served under. model: the base
    model's name. Raises InputError."""
    found: dict[str, Path] = {}
    for pattern in patterns:
        paths = sorted(glob.glob(os.path.expanduser(pattern)))
        if not paths:
            raise InputError(f"--adapters {pattern}: nothing matches")
        for path in map(Path, paths):
            name = adapter_name(path)
            if name == model:
                raise InputError(f"--adapters {path}: {name!r} is the base model's name")
            if name in found and found[name] != path:
                raise InputError(f"--adapters: {found[name]} and {path} have one name, {name!r}")
            found[name] = path
    return found
