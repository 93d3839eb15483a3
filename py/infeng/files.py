"""Files: written whole or not at all, read with a bound, mapped, digested."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from infeng.errors import InputError, why


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that becomes `path` when the block ends, and vanishes if it fails.

    The file lies in the folder of `path` until it is complete and on disk. Whatever ends the
    block, Ctrl-C too, no part of it stays. Raises InputError if the system refuses."""
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise InputError(f"{path}: not a regular file, so it cannot be replaced")
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
        )
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as e:
        raise InputError(f"{path}: cannot write: {why(e)}") from e
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    # Some file systems cannot sync a folder; the rename is atomic all the same.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_bytes(path: Path, limit: int) -> bytes:
    """The contents of a file of at most `limit` bytes. Raises InputError."""
    try:
        with path.open("rb") as file:
            # The size first: read(limit) would reserve that much. A pipe's size is 0.
            data = file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
            if len(data) <= limit:
                data += file.read(limit + 1 - len(data))
    except OSError as e:
        raise InputError(f"{path}: cannot read: {why(e)}") from e
    if len(data) > limit:
        raise InputError(f"{path}: larger than the {limit} bytes that such a file may have")
    return data


def map_file(path: Path) -> memoryview:
    """The contents of a file, mapped read-only. Raises InputError, for an empty file too."""
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as e:
        reason = why(e) if isinstance(e, OSError) else "the file is empty"
        raise InputError(f"{path}: cannot read: {reason}") from e


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex. Raises InputError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise InputError(f"{path}: cannot read: {why(e)}") from e
