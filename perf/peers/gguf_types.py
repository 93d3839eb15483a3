"""Each type of GGUF weights: infeng's perplexity beside llama.cpp's, for the same file.

    tools/bazel run //perf/peers:gguf_types -- [--types Q4_K,Q6_K] [--windows=6] [--out=reports]

llama.cpp requantises the default model to each type. Its llama-perplexity scores the second half of
each window of 512 tokens, and so do we here: once with float32 weights, which are the file's own, and
once with int8, which is what a user gets. Writes gguf_types.csv; exit code 1 if a float32 figure is
further than 0.5 % from llama.cpp's."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from infeng.cli.console import print_table
from infeng.convert import Recipe, convert
from infeng.convert.gguf_file import GgufFile
from infeng.errors import InfengError, one_line
from infeng.llm import LLM
from infeng.models import default_gguf
from infeng.perplexity import perplexity
from perf.peers import llama_cpp
from perf.peers.rows import write

TYPES = "F32,F16,BF16,Q8_0,Q4_0,Q4_1,Q5_0,Q5_1,Q4_K,Q5_K,Q6_K"
TEXT = Path(__file__).parents[2] / "testdata/text_handbook/handbook_a.txt"
WINDOW = 512
BOUND = 0.005
PROMPT = "Why is the sky blue?"
HEAD = ("type", "holds", "llama.cpp", "f32", "f32 differs", "int8", "int8 differs", "answer")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--types", default=TYPES, metavar="TYPES")
    parser.add_argument("--windows", type=int, default=6, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("reports"), metavar="FOLDER")
    args = parser.parse_args()
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    rows, good = [], True
    try:
        for kind in args.types.split(","):
            print(f"{kind} ...", file=sys.stderr)
            row, near = measure(kind, args.windows)
            rows.append(row)
            print("  ".join(row), file=sys.stderr)
            good &= near
        write(args.out / "gguf_types.csv", HEAD, rows)
    except InfengError as e:
        print(f"gguf_types: {one_line(e)}", file=sys.stderr)
        return 1
    print_table(HEAD, rows)
    return 0 if good else 1


def measure(kind: str, windows: int) -> tuple[tuple[str, ...], bool]:
    """A row of the table, and whether it is within BOUND. Raises InfengError."""
    gguf = llama_cpp.quantised(default_gguf(), kind)
    types = Counter(t.type.name for t in GgufFile(gguf).tensors.values() if len(t.shape) > 1)
    theirs = _theirs(gguf, windows)
    figures, answer, near = [], "", True
    text = TEXT.read_text(encoding="utf-8")
    for dtype in ("f32", "int8"):
        with tempfile.TemporaryDirectory() as folder:
            # Not in the user's cache: eleven types of two kinds are gigabytes.
            out = Path(folder) / "model.infq"
            convert(gguf, out, Recipe(dtype))
            llm = LLM(str(out))
        with llm:
            ours = perplexity(llm, text, WINDOW, context=WINDOW // 2 + 1, windows=windows).ppl
            answer = llm.generate([PROMPT], max_tokens=16, temperature=0.0)[0].text
        if not answer.strip():
            raise InfengError(f"{gguf.name}: no answer to {PROMPT!r}")
        figures += [f"{ours:.4f}", f"{ours / theirs - 1:+.2%}"]
        near &= dtype != "f32" or abs(ours / theirs - 1) <= BOUND
    holds = ", ".join(f"{count} {name}" for name, count in types.most_common())
    return (kind, holds, f"{theirs:.4f}", *figures, one_line(answer)), near


def _theirs(gguf: Path, windows: int) -> float:
    command = [llama_cpp.tool("llama-perplexity"), "-m", gguf, "-f", TEXT]
    command += ["-c", str(WINDOW), "--chunks", str(windows), "-t", str(os.cpu_count())]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    found = re.search(r"Final estimate: PPL = ([0-9.]+)", done.stdout + done.stderr)
    if done.returncode or not found:
        raise InfengError(f"llama-perplexity {gguf.name}: {done.stderr.strip()[-300:]}")
    return float(found[1])


if __name__ == "__main__":
    sys.exit(main())
