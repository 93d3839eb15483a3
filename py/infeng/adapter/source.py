"""An adapter on disk, PEFT folder or INFQ file, as what can be loaded again and again."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from infeng.adapter.infq import Base, is_peft, load_infq
from infeng.adapter.peft import Adapter, Target, load_peft
from infeng.errors import InputError
from infeng.files import sha256

_HALF = 2  # bytes of a binary16 value


@dataclasses.dataclass(frozen=True)
class DiskAdapter:
    """digest: SHA-256 of the content. bytes: that the engine takes for it. rank: the greatest."""

    path: Path
    base: Base
    digest: str
    bytes: int
    rank: int

    def targets(self) -> list[Target]:
        """The matrices. Raises InputError, also if the files are other ones than at first."""
        targets = _load(self.path, self.base).targets
        if _digest(self.path) != self.digest:
            raise InputError(f"{self.path}: has changed on disk: load the adapter anew")
        return targets


def open_adapter(path: Path, base: Base) -> DiskAdapter:
    """The adapter in a PEFT folder or an INFQ file, checked whole. Raises InputError."""
    digest = _digest(path)
    adapter = _load(path, base)
    size = sum(
        _HALF * (_up(len(t.a), 8) * _up(t.a.shape[1], 16) + _up(len(t.b), 16) * len(t.a))
        for t in adapter.targets
    )
    return DiskAdapter(path, base, digest, size, adapter.rank)


def adapter_name(path: Path) -> str:
    """The name under which an adapter is served: its folder's, or its file's without .infq."""
    return path.name.removesuffix(".infq")


def _load(path: Path, base: Base) -> Adapter:
    return load_peft(path, base.config) if path.is_dir() else load_infq(path, base)


def _digest(path: Path) -> str:
    if not path.is_dir():
        return sha256(path)
    if not is_peft(path):
        raise InputError(f"{path}: no adapter_config.json in it: not a PEFT folder")
    digest = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        digest.update(bytes.fromhex(sha256(path / name)))
    return digest.hexdigest()


def _up(count: int, multiple: int) -> int:
    """As the engine pads the matrices (cc/model/adapter.cc)."""
    return -(-count // multiple) * multiple
