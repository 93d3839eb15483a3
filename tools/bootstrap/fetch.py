#!/usr/bin/env python3
"""Places one set of packages at a folder.

    fetch.py SET DEST

Repository rules call this. The set is unpacked once into the cache; DEST is made of
hard links to it (copies, on another file system).
"""

import os
import shutil
import sys

sys.dont_write_bytecode = True  # do not dirty the checkout
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cachedir  # noqa: E402
import errors  # noqa: E402
import install  # noqa: E402
import lockfile  # noqa: E402
import unpack  # noqa: E402


def fetch(name, dest):
    """Places set `name` at the folder `dest`, which may exist."""
    store = cachedir.path("sets", f"{name}-{lockfile.key(name)}")
    install.once(store, lambda folder, _: unpack.unpack(name, folder), f"set '{name}'")
    shutil.copytree(
        store,
        dest,
        symlinks=True,
        copy_function=_link,
        dirs_exist_ok=True,
        ignore=lambda folder, _: [install.STAMP] if folder == store else [],
    )


def _link(source, dest):
    if os.path.lexists(dest):
        os.unlink(dest)
    try:
        os.link(source, dest)
    except OSError:  # another file system, or too many links
        shutil.copy2(source, dest)


def main(args):
    if len(args) != 2:
        raise errors.UsageError("usage: fetch.py SET DEST")
    fetch(*args)


if __name__ == "__main__":
    sys.exit(errors.run("fetch.py", main, sys.argv[1:]))
