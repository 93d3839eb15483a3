"""llama.cpp's own programs, built for this CPU from the source that llama-cpp-python carries.

Needs cmake, ninja and a C++ compiler on the machine: it is compiled as its users compile it (GGML_NATIVE)."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infeng.errors import InfengError
from perf.peers import environment

_TARGETS = ("llama-bench", "llama-quantize", "llama-server", "llama-perplexity")
_OFF = (
    "LLAMA_CURL",
    "LLAMA_OPENSSL",
    "LLAMA_BUILD_TESTS",
    "LLAMA_BUILD_EXAMPLES",
    "LLAMA_BUILD_UI",
)


def tool(name: str) -> Path:
    """The path of one of llama.cpp's programs; builds them if need be. Raises InfengError."""
    return _built("building llama.cpp", "", ("-DBUILD_SHARED_LIBS=OFF",), _TARGETS) / "bin" / name


def libraries() -> Path:
    """The folder of ggml's shared libraries; builds them if need be. Raises InfengError."""
    shared = ("-DBUILD_SHARED_LIBS=ON",)
    return _built("building llama.cpp's ggml", "-ggml", shared, ("ggml", "ggml-cpu")) / "bin"


def _built(what: str, suffix: str, options: Sequence[str], targets: Sequence[str]) -> Path:
    source = environment.source("llama_cpp")
    cpu = hashlib.sha256(_cpu().encode()).hexdigest()[:8]
    configure: list[str | Path] = [
        "cmake",
        "-G",
        "Ninja",
        "-S",
        source / "vendor/llama.cpp",
        "-B",
        "{out}",
    ]
    configure += ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", *(f"-D{o}=OFF" for o in _OFF)]
    # GCC before 14 thinks that loading an AMX tile's configuration reads 8 of its 64 bytes, and
    # drops the stores of the others: llama.cpp would crash.
    configure += ["-DCMAKE_CXX_FLAGS=-fno-tree-dse -fno-dse", *options]
    build = ["cmake", "--build", "{out}", "--parallel", str(os.cpu_count()), "--target", *targets]
    folder = environment.cache_folder() / f"{source.parent.name}-{cpu}{suffix}"
    return environment.once(folder, what, [configure, build])


def _cpu() -> str:
    """What native code depends on: the model and the flags of the first core."""
    lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if line.startswith(("model name", "flags")))


def quantised(gguf: Path, kind: str) -> Path:
    """A GGUF file requantised by llama.cpp to a type of its own, e.g. "Q8_0". Raises InfengError."""
    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()[:16]
    folder = environment.cache_folder() / f"{digest}-{kind}"
    program = tool("llama-quantize")
    script = 'mkdir -p "$3" && "$0" --allow-requantize "$1" "$3/$2.gguf" "$2" 1'
    command: list[str | Path] = ["sh", "-c", script, program, gguf, kind, "{out}"]
    return environment.once(folder, f"quantising to {kind}", [command]) / f"{kind}.gguf"


def bench(gguf: Path, **options: object) -> list[dict[str, Any]]:
    """The rows of llama-bench with these options, e.g. t=1, p=512, n=0. Raises InfengError."""
    command = [str(tool("llama-bench")), "-m", str(gguf), "-o", "json"]
    for name, value in options.items():
        command += [f"-{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip()[-300:] or "it said nothing"
        raise InfengError(f"llama-bench {gguf.name} ended with {done.returncode}: {said}")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows
