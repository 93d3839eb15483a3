"""Peers are installed here: pip packages, pinned by hash, in the user's cache folder.

They are no part of the build, since torch alone is gigabytes. What is locked in locks/GROUP.txt (written by
lock.py) is installed once, by pip with the user's own configuration, below $XDG_CACHE_HOME/infeng/peers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infeng.errors import InfengError

_LOCKS = Path(__file__).parent / "locks"


def use(group: str) -> None:
    """Makes the packages of locks/GROUP.txt importable, after those of the build.

    Raises InfengError if pip cannot install them."""
    site = _installed(group)
    # Behind the build's own packages: one numpy serves ours and theirs.
    sys.path.append(str(site))


def source(group: str) -> Path:
    """The unpacked source distribution that locks/GROUP.txt names. Raises InfengError."""
    folder = _installed(group, unpacked=True)
    (found,) = (path for path in folder.iterdir() if path.is_dir())
    return found


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/infeng/peers."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "infeng" / "peers"


def once(folder: Path, what: str, make: list[Sequence[str | Path]]) -> Path:
    """`folder`, made by these commands if it is not there yet; each gets it in place of "{out}".

    Raises InfengError with the last lines of a command that fails, and leaves nothing then."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        print(f"{what}, once, into {folder}", file=sys.stderr)
        new = folder.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            for command in make:
                _run([str(c).replace("{out}", str(new)) for c in command], what)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder


def _installed(group: str, unpacked: bool = False) -> Path:
    lock = _LOCKS / f"{group}.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = cache_folder() / f"{group}-{digest}"
    pip = [sys.executable, "-m", "pip"]
    wanted = ["--no-deps", "--require-hashes", "--disable-pip-version-check", "--quiet"]
    wanted += ["--requirement", str(lock)]
    if not unpacked:
        command = [*pip, "install", *wanted, "--only-binary=:all:", "--target={out}"]
        return once(folder, f"installing the peers in {group}.txt", [command])
    # pip asks the archive for its metadata, with a build backend of its own choice.
    download = [*pip, "download", *wanted, "--no-binary=llama_cpp_python", "--dest={out}"]
    unpack = [sys.executable, "-c", _UNPACK, "{out}"]
    return once(folder, f"unpacking the peer in {group}.txt", [download, unpack])


# The archive's own sha256 has been checked, so its paths are trusted.
_UNPACK = """
import pathlib, sys, tarfile
out = pathlib.Path(sys.argv[1])
for archive in out.glob("*.tar.gz"):
    with tarfile.open(archive) as tar:
        tar.extractall(out)
    archive.unlink()
"""


def _run(command: Sequence[str], what: str) -> None:
    # pip is a package of the build, found where this process found it.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError as e:
        raise InfengError(f"{what}: cannot run {command[0]}: {e.strerror}") from e
    if done.returncode:
        tail = (done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
        raise InfengError(f"{what}: {Path(command[0]).name}: {' | '.join(tail)}")
