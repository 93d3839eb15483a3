"""Unpacks a locked set: downloads, verifies and extracts its archives."""

import os
import re
import sys

import apt
import cachedir
import deb
import download
import lockfile
import parallel
from progress import Progress
from sets import SETS


def unpack(name, folder):
    """Unpacks set `name` into the empty `folder`."""
    spec = SETS[name]
    entries = lockfile.entries(name)
    try:
        archives = _download(name, entries, folder)
    except download.Gone as gone:
        # Debian drops superseded versions from its pool. Taking the whole set anew, not
        # just what is missing, keeps its versions consistent. The index is signed, so
        # this is as trustworthy as the lock was when it was written; but it is not
        # reproducible, hence the warning.
        print(
            f"WARNING: {gone} is gone from the mirror; set '{name}' now comes from the "
            f"current signed index of {spec['suite']}, NOT from the lock. Run "
            f"tools/bootstrap/lock.py {name} and commit the result.",
            file=sys.stderr,
            flush=True,
        )
        entries = apt.Suite(spec["suite"]).resolve(spec)
        archives = _download(name, entries, folder)
    _extract(name, spec, entries, archives, folder)


def _download(name, entries, folder):
    need = download.missing_bytes(entries) + sum(e["unpacked"] for e in entries)
    cachedir.require_space(os.path.dirname(folder), need, f"set '{name}'")
    return download.fetch_all(entries, f"Fetching {name}")


def _extract(name, spec, entries, archives, folder):
    skip = spec.get("skip")
    tree = deb.Tree(folder, re.compile(skip) if skip else None)
    add = tree.add_source if spec.get("source") else tree.add_package
    with Progress(f"Unpacking {name}", sum(e["size"] for e in entries)) as progress:

        def extract(rank):
            add(rank, archives[rank])
            progress.add(entries[rank]["size"])

        # Decompression releases the interpreter's lock, so threads help.
        parallel.each(extract, range(len(archives)), os.cpu_count(), tree.cancelled)
    if not spec.get("source"):
        for d in deb.MERGED:
            os.makedirs(os.path.join(folder, "usr", d), exist_ok=True)
            if not os.path.lexists(os.path.join(folder, d)):
                os.symlink("usr/" + d, os.path.join(folder, d))
    tree.finish()
