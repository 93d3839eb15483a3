#!/usr/bin/env python3
"""Writes wheels.lock.json: name, version, sha256 and imports of every wheel.

    third_party/python/lock.py

pip resolves roots.txt for CPython 3.11 on x86_64 Linux (glibc 2.36); run it with any
Python >= 3.9 that has pip >= 23. A root may have extras, as ray[serve]; those of what it needs in
turn are not followed. PIP_CONSTRAINT keeps what is not to move.
"""

import json
import os
import re
import subprocess
import sys

from pip._vendor.packaging.requirements import Requirement

HERE = os.path.dirname(os.path.abspath(__file__))
# Where the wheels are used, for what is declared for some platforms only.
PLATFORM = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.0",
    "python_version": "3.11",
    "sys_platform": "linux",
}
# Declared, but not imported by what we use: (package, dependency).
UNUSED = {
    ("tokenizers", "huggingface-hub"),  # downloads tokenizers by name
    ("gguf", "requests"),  # reads remote files
}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def report():
    """pip's account of what it would install."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--ignore-installed",
        "--quiet",
        "--report=-",
        "--only-binary=:all:",
        "--target=/nowhere",
        "--python-version=3.11",
        "--implementation=cp",
        "--abi=cp311",
        "--abi=abi3",
        "--abi=none",
        "--requirement",
        os.path.join(HERE, "roots.txt"),
    ]
    command += [f"--platform=manylinux_2_{glibc}_x86_64" for glibc in range(17, 37)]
    command += ["--platform=manylinux2014_x86_64", "--platform=any"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def needs(metadata, installed, extras):
    """Names of the installed packages that this one declares for our platform, without an extra
    or for one of these."""
    for text in metadata.get("requires_dist", []):
        requirement = Requirement(text)
        name = canonical(requirement.name)
        marker = requirement.marker
        wanted = marker is None or any(
            marker.evaluate({**PLATFORM, "extra": extra}) for extra in ("", *extras)
        )
        if name in installed and wanted:
            yield name


def roots():
    """The extras of each package that the project names itself."""
    with open(os.path.join(HERE, "roots.txt"), encoding="utf-8") as f:
        found = re.findall(r"^([a-z][a-z0-9-]*)(?:\[([a-z0-9,-]+)\])?", f.read(), re.M)
    return {name: set(extras.split(",")) if extras else set() for name, extras in found}


def main():
    found = report()["install"]
    installed = {canonical(item["metadata"]["name"]) for item in found}
    own = roots()
    lock = {}
    for item in found:
        name = canonical(item["metadata"]["name"])
        declared = needs(item["metadata"], installed, own.get(name, set()))
        deps = {d for d in declared if d != name and (name, d) not in UNUSED}
        lock[name] = {
            "version": item["metadata"]["version"],
            "sha256": item["download_info"]["archive_info"]["hashes"]["sha256"],
            "deps": sorted(deps),
        }
    used, todo = set(), [*own]
    while todo:
        name = todo.pop()
        if name not in used:
            used.add(name)
            todo += lock[name]["deps"]
    with open(os.path.join(HERE, "wheels.lock.json"), "w", encoding="utf-8") as f:
        rows = [f" {json.dumps(n)}: {json.dumps(lock[n])}" for n in sorted(used)]
        f.write("{\n" + ",\n".join(rows) + "\n}\n")
    print(f"{len(used)} wheels")


if __name__ == "__main__":
    main()
