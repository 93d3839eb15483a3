"""Folders that are made once, whole or not at all, and made anew when damaged."""

import json
import os
import shutil
import sys

import filelock

STAMP = ".complete"


def once(dest, make, what):
    """Path `dest`, a folder that make(folder, dest) has filled.

    `make` fills `folder`, which becomes `dest` when it is complete. One process at a
    time does so; the others wait. A folder in which a file is missing or was changed
    (by size or time) is made anew. `what`: for messages, as in "installing `what`"."""
    if intact(dest):
        return dest
    os.makedirs(os.path.dirname(dest), exist_ok=True)
    with filelock.held(dest + ".lock", waiting_for=f"installing {what}"):
        if not intact(dest):
            if os.path.lexists(dest):
                print(
                    f"The installation in {dest} is damaged; it is made anew.",
                    file=sys.stderr,
                    flush=True,
                )
            new = dest + ".new"
            _remove(new)  # of an attempt that was ended
            os.makedirs(new)
            try:
                make(new, dest)
                _write_stamp(new, dest)
                _remove(dest)
                os.rename(new, dest)
            except BaseException as error:
                if isinstance(error, OSError) and error.filename is None:
                    error.filename = new  # a failed write does not say where
                shutil.rmtree(new, ignore_errors=True)
                raise
    return dest


def intact(root):
    """Whether the folder is complete and its files are as they were made."""
    try:
        with open(os.path.join(root, STAMP), encoding="utf-8") as f:
            stamp = json.load(f)
        # Installations hold their own path: one that was moved is not usable.
        if stamp["root"] != root:
            return False
        for name, (size, time) in stamp["files"].items():
            s = os.lstat(os.path.join(root, name))
            if s.st_size != size or s.st_mtime_ns != time:
                return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _remove(path):
    """Removes what is at `path`, if anything."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _write_stamp(folder, dest):
    files = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            s = os.lstat(path)
            files[os.path.relpath(path, folder)] = (s.st_size, s.st_mtime_ns)
    with open(os.path.join(folder, STAMP), "w", encoding="utf-8") as f:
        json.dump({"root": dest, "files": files}, f)
