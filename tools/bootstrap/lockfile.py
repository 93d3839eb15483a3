"""Reads and writes debs.lock.json: every archive of every set, by path and sha256."""

import hashlib
import json
import os

from errors import BootstrapError
from sets import SETS

HERE = os.path.dirname(os.path.abspath(__file__))
PATH = os.path.join(HERE, "debs.lock.json")
# The code that a set's content depends on, besides its entries.
_CODE = ("deb.py", "unpack.py")


def read():
    """{set: [{name, version, path, size, unpacked, sha256}]}, sizes in bytes."""
    try:
        with open(PATH, encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError) as error:
        raise BootstrapError(
            f"cannot read {PATH} ({error}); restore it from the repository, or "
            "make it with tools/bootstrap/lock.py"
        ) from None


def write(lock):
    """One archive a line, so that a refreshed lock reads as a list of changed packages."""
    sets = (
        f" {json.dumps(name)}: [\n"
        + ",\n".join("  " + json.dumps(entry) for entry in lock[name])
        + "\n ]"
        for name in sorted(lock)
    )
    with open(PATH + ".new", "w", encoding="utf-8") as f:
        f.write("{\n" + ",\n".join(sets) + "\n}\n")
    os.replace(PATH + ".new", PATH)


def entries(name):
    """The locked archives of one set."""
    lock = read()
    if name not in SETS or name not in lock:
        raise BootstrapError(f"no set is named '{name}'; there are: {', '.join(sorted(SETS))}")
    return lock[name]


def key(name, code=()):
    """Digest of all that the unpacked set depends on; `code`: further files of ours."""
    h = hashlib.sha256(json.dumps([entries(name), SETS[name]], sort_keys=True).encode())
    h.update(digest([os.path.join(HERE, f) for f in (*_CODE, *code)]).encode())
    return h.hexdigest()[:16]


def digest(paths):
    """One digest of the contents of files; those that do not exist count as empty."""
    h = hashlib.sha256()
    for path in paths:
        content = b""
        if os.path.exists(path):
            with open(path, "rb") as f:
                content = f.read()
        h.update(hashlib.sha256(content).digest())
    return h.hexdigest()[:16]
