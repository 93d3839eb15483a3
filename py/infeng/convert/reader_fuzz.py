"""Coverage-guided fuzzing of a reader of foreign files: libFuzzer, by way of atheris.

    tools/bazel run //py/infeng/convert:gguf_fuzz -- -max_total_time=1800 FOLDER

The arguments are libFuzzer's: FOLDER gets the inputs that reach something new, and what breaks a
reader is saved as crash-... where one stands. A file in place of a folder is read once."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["infeng", "gguf.gguf_reader", "json"]):
    from infeng.convert.fuzz_targets import TARGETS

from infeng.testing.mutations import memory_limit, mutate, mutate_json

CORPUS = Path("py/infeng/convert/fuzz_corpus").absolute()


def change(data: bytes, max_size: int, seed: int) -> bytes:
    """libFuzzer's own changes, and those of the random tests."""
    source = random.Random(seed)
    kind = source.randrange(4)
    if kind == 0 and data:
        result = mutate(data, source)
    elif kind == 1 and any(mark in data for mark in (b":", b",", b"[")):
        result = mutate_json(data, source)
    else:
        result = atheris.Mutate(data, max_size)
    return result[:max_size]


def main(arguments: list[str]) -> None:
    name, *options = arguments
    target = TARGETS[name]
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as tmp:
        folder = Path(tmp)
        (folder / "seeds").mkdir()
        for i, seed in enumerate(target.seeds(folder)):
            (folder / "seeds" / str(i)).write_bytes(seed)

        def once(data: bytes) -> None:
            with memory_limit():
                target.read(folder, data)

        if not any(os.path.isfile(o) or o.startswith("-merge=1") for o in options):
            options += [str(folder / "seeds")]
            if (CORPUS / name).is_dir():
                options.append(str(CORPUS / name))
        defaults = ["-max_len=16384", "-timeout=20"]
        atheris.Setup(["reader_fuzz", *defaults, *options], once, custom_mutator=change)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
