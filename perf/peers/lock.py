#!/usr/bin/env python3
"""Writes locks/GROUP.txt: what pip resolves of the packages, each with its version and sha256.

    perf/peers/lock.py GROUP PACKAGE...     wheels for CPython 3.11 on x86_64 Linux

Run it with any Python >= 3.9 that has pip >= 23."""

import json
import pathlib
import subprocess
import sys

_PLATFORMS = [f"--platform=manylinux_2_{glibc}_x86_64" for glibc in range(17, 37)]
_PLATFORMS += ["--platform=manylinux2014_x86_64", "--platform=any"]
_WHEELS = [
    "--only-binary=:all:",
    "--target=/nowhere",
    "--python-version=3.11",
    "--implementation=cp",
]
_WHEELS += ["--abi=cp311", "--abi=abi3", "--abi=none", *_PLATFORMS]


def main() -> None:
    group, *packages = sys.argv[1:]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    command += ["--quiet", "--report=-", *packages, *_WHEELS]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    lines = sorted(
        "{}=={} --hash=sha256:{}\n".format(
            item["metadata"]["name"],
            item["metadata"]["version"],
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in json.loads(done.stdout)["install"]
    )
    path = pathlib.Path(__file__).parent / "locks" / f"{group}.txt"
    path.write_text(f"# Written by: perf/peers/lock.py {' '.join(sys.argv[1:])}\n" + "".join(lines))
    print(f"{path.name}: {len(lines)} packages")


if __name__ == "__main__":
    main()
