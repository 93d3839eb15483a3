"""infeng's tokenizer beside gigatoken, fastokens, splintr and `tokenizers`, in one process.

    tools/bazel run //perf/peers:tokenizer -- --out reports

Each text is cut into documents, in no order. All packages encode the first half, to warm up; then
they take turns on batches of the second, which none has seen: A B C, B C A, ... So all see the
same noise, and no cache knows the text. Ids are held against those of `tokenizers`.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infeng.native import Tokenizer
from perf.peers import corpora

OURS, REFERENCE = "infeng", "tokenizers"
COLUMNS = ["model", "work", "threads", "package", "speed", "unit", "ours_ratio", "exact", "note"]

# Characters of a document; batches of the second half of a text.
CHARS, BATCHES = 8000, 6


def chat(model: str, text: str) -> str:
    """A short prompt in the marks of a model's chat template."""
    before, after = {
        "smollm2": ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
        "qwen3": ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
        "llama3": (
            "<|start_header_id|>user<|end_header_id|>\n\n",
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        "gemma": ("<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"),
        "llama2": ("[INST] ", " [/INST]"),
    }.get(model, ("User: ", "\nAssistant:"))
    return before + text + after


class Package:
    """A tokenizer of some package: `encode` one text, `batch` by as many threads as there are."""

    template = False

    def __init__(self, path: Path, threads: int) -> None:
        raise NotImplementedError

    def encode(self, text: str) -> Any:
        """Ids in the form that is the cheapest of the package."""
        raise NotImplementedError

    def batch(self, texts: list[str]) -> Any:
        """Ids of many texts in the form that is the cheapest of the package."""
        raise NotImplementedError

    def decode(self, ids: list[int]) -> str:
        raise NotImplementedError

    def ids(self, text: str) -> list[int]:
        return list(map(int, self.encode(text)))


class Infeng(Package):
    def __init__(self, path: Path, threads: int) -> None:
        self.native, self.threads = Tokenizer.from_file(path), threads

    def encode(self, text: str) -> Any:
        return self.native.encode(text, False)

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch_flat(texts, False, threads=self.threads)

    def decode(self, ids: list[int]) -> str:
        return self.native.decode(ids)


class HuggingFace(Package):
    def __init__(self, path: Path, threads: int) -> None:
        import tokenizers

        self.native = tokenizers.Tokenizer.from_file(str(path))

    def encode(self, text: str) -> Any:
        return self.native.encode(text, add_special_tokens=False).ids

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch_fast(texts, add_special_tokens=False)

    def decode(self, ids: list[int]) -> str:
        return self.native.decode(ids, skip_special_tokens=False)


class Gigatoken(Package):
    def __init__(self, path: Path, threads: int) -> None:
        import gigatoken

        self.native, self.parallel = gigatoken.Tokenizer(str(path)), threads > 1

    def encode(self, text: str) -> Any:
        return self.native.encode(text)

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch(texts, parallel=self.parallel)

    def decode(self, ids: list[int]) -> str:
        decoded = self.native.decode(ids)
        return decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else decoded


class Fastokens(Package):
    def __init__(self, path: Path, threads: int) -> None:
        import fastokens

        self.native = fastokens.Tokenizer.from_file(str(path))

    def encode(self, text: str) -> Any:
        return self.native.encode(text).ids

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch_flat(texts)

    def decode(self, ids: list[int]) -> str:
        return self.native.decode(ids)


class Splintr(Package):
    # Its only calls for batches put the template around each text.
    template = True

    def __init__(self, path: Path, threads: int) -> None:
        import splintr

        self.native = splintr.from_json(str(path))

    def encode(self, text: str) -> Any:
        return self.native.encode(text)

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch_flat(texts)

    def decode(self, ids: list[int]) -> str:
        return self.native.decode(ids)


PACKAGES: dict[str, type[Package]] = {
    OURS: Infeng,
    "gigatoken": Gigatoken,
    "fastokens": Fastokens,
    "splintr": Splintr,
    REFERENCE: HuggingFace,
}


@dataclass
class Loaded:
    """The packages that can load a model; what the others say; seconds to load."""

    packages: dict[str, Package]
    failed: dict[str, str]
    seconds: dict[str, float]


def load(path: Path, names: Sequence[str], threads: int) -> Loaded:
    loaded = Loaded({}, {}, {})
    for name in names:
        start = time.process_time()
        try:
            loaded.packages[name] = PACKAGES[name](path, threads)
        except BaseException as error:  # a panic of a Rust package is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            loaded.failed[name] = " ".join(str(error).split())[:120]
        loaded.seconds[name] = time.process_time() - start
    return loaded


def documents(text: str) -> list[str]:
    pieces = [text[i : i + CHARS] for i in range(0, len(text), CHARS)]
    return random.Random(1).sample(pieces, len(pieces))


def halves(pieces: list[str]) -> tuple[list[str], list[list[str]]]:
    """What to warm up on, and batches of the rest."""
    half = len(pieces) // 2
    size = max(1, (len(pieces) - half) // BATCHES)
    return pieces[:half], [pieces[i : i + size] for i in range(half, len(pieces), size)]


def in_turn(
    names: list[str], rounds: Sequence[Any], run: Callable[[str, Any], Any], clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of each for each round."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number, work in enumerate(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            start = clock()
            result = run(name, work)
            seconds[name].append(clock() - start)
            del result
    return seconds


class Table:
    """Rows of the report."""

    def __init__(self, model: str, threads: int) -> None:
        self.model, self.threads = model, threads
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        work: str,
        seconds: dict[str, list[float]],
        amount: float,
        unit: str,
        exact: dict[str, bool],
        failed: dict[str, str],
    ) -> None:
        """`amount` of units in all rounds together; for `ns` and `ms`, time by amount."""
        ours = sum(seconds[OURS])
        for name in PACKAGES:
            row: dict[str, Any] = {"model": self.model, "work": work, "threads": self.threads}
            row |= {"package": name, "unit": unit}
            if name in failed:
                row["note"] = failed[name]
            elif name in seconds:
                took = sum(seconds[name])
                scale = {"ns": 1e9, "ms": 1e3}.get(unit)
                speed = took / amount * scale if scale else amount / took
                row |= {"speed": float(f"{speed:.4g}"), "ours_ratio": round(took / ours, 2)}
                row["exact"] = "yes" if exact.get(name, True) else "NO"
            else:
                continue
            self.rows.append(row)
        self.show(self.rows[-len(PACKAGES) :])

    def show(self, rows: Iterable[dict[str, Any]]) -> None:
        rows = [row for row in rows if "speed" in row]
        cells = [
            f"{row['package']} {row['speed']:g}"
            + (f" (x{row['ours_ratio']:g})" if row["package"] != OURS else "")
            + ("" if row["exact"] == "yes" else " INEXACT")
            for row in rows
        ]
        head = f"{rows[0]['model']:8s} {rows[0]['work']:13s} {self.threads}t {rows[0]['unit']:10s}"
        print(head, "  ".join(cells), flush=True)


def exactness(loaded: Loaded, texts: list[str]) -> dict[str, bool]:
    reference = loaded.packages[REFERENCE]
    assert isinstance(reference, HuggingFace)
    plain = [e.ids for e in reference.native.encode_batch_fast(texts, add_special_tokens=False)]
    full = [e.ids for e in reference.native.encode_batch_fast(texts, add_special_tokens=True)]
    exact = {}
    for name, package in loaded.packages.items():
        expected = full if package.template else plain
        exact[name] = all(package.ids(t) == e for t, e in zip(texts, expected, strict=True))
    return exact


def encode_texts(table: Table, path: Path, names: list[str], texts: dict[str, str]) -> None:
    """Long documents, by text."""
    clock = time.process_time if table.threads == 1 else time.perf_counter
    for corpus, text in texts.items():
        loaded = load(path, names, table.threads)
        warm, batches = halves(documents(text))
        for package in loaded.packages.values():
            package.batch(warm)
        present = list(loaded.packages)
        seconds = in_turn(present, batches, lambda n, b: loaded.packages[n].batch(b), clock)
        size = sum(len(t.encode()) for batch in batches for t in batch)
        exact = exactness(loaded, [t for batch in batches for t in batch])
        table.add(corpus, seconds, size / 1e6, "MB/s", exact, loaded.failed)


def encode_prompts(table: Table, path: Path, names: list[str], text: str) -> None:
    """Chat prompts, one a call; the call itself; decoding."""
    loaded = load(path, names, 1)
    present = list(loaded.packages)
    lines = [line.strip() for line in text.splitlines() if 20 < len(line) < 400]
    lines = random.Random(2).sample(lines, min(len(lines), 6000))
    warm, batches = halves([chat(table.model, line) for line in lines])

    def each(name: str, texts: list[str]) -> None:
        encode = loaded.packages[name].encode
        for one in texts:
            encode(one)

    for name in present:
        each(name, warm)
    seconds = in_turn(present, batches, each, time.process_time)
    prompts = [t for batch in batches for t in batch]
    exact = exactness(loaded, prompts)
    table.add("chat prompts", seconds, len(prompts), "prompts/s", exact, loaded.failed)

    calls = 3000
    tiny = [["Hi"] * calls] * 5
    seconds = in_turn(present, tiny, each, time.process_time)
    exact = exactness(loaded, ["Hi"])
    table.add("tiny call", seconds, calls * len(tiny), "ns", exact, loaded.failed)

    reference = loaded.packages[REFERENCE]
    pieces = [reference.ids(piece) for piece in documents(text)[: 10 * BATCHES]]
    rounds = [pieces[i::BATCHES] for i in range(BATCHES)]
    texts = [reference.decode(ids) for ids in pieces]
    able, exact = [], {}
    for name, package in loaded.packages.items():
        try:
            exact[name] = [package.decode(ids) for ids in pieces] == texts
            able.append(name)
        except Exception as error:
            loaded.failed[name] = f"decode: {error}"[:120]

    def decode(name: str, sequences: list[list[int]]) -> None:
        one = loaded.packages[name].decode
        for ids in sequences:
            one(ids)

    seconds = in_turn(able, rounds, decode, time.process_time)
    size = sum(len(t.encode()) for t in texts)
    table.add("decode", seconds, size / 1e6, "MB/s", exact, loaded.failed)


def load_times(table: Table, path: Path, names: list[str]) -> None:
    times = [load(path, names, 1) for _ in range(3)]
    present = list(times[0].packages)
    seconds = {name: [statistics.median(t.seconds[name] for t in times)] for name in present}
    table.add("load", seconds, 1, "ms", {}, times[0].failed)


def two_threads(table: Table, path: Path, text: str) -> None:
    """Ours with as many threads against ours with one, on the wall clock."""
    warm, batches = halves(documents(text))
    one, several = Tokenizer.from_file(path), Tokenizer.from_file(path)
    tokenizers = {"1": (one, 1), "n": (several, table.threads)}
    for native, threads in tokenizers.values():
        native.encode_batch_flat(warm, False, threads=threads)

    def run(name: str, batch: list[str]) -> Any:
        native, threads = tokenizers[name]
        return native.encode_batch_flat(batch, False, threads=threads)

    seconds = in_turn(["1", "n"], batches, run, time.perf_counter)
    ratio = sum(seconds["1"]) / sum(seconds["n"])
    row = {"model": table.model, "work": "of one thread", "threads": table.threads}
    table.rows.append(row | {"package": OURS, "speed": round(ratio, 2), "unit": "ratio"})
    print(f"{table.model:8s} {table.threads} threads: {ratio:.2f} times one", flush=True)


def measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    names = [name for name in PACKAGES if name in {OURS, REFERENCE, *options.package}]
    texts = corpora.texts()
    texts = {name: text for name, text in texts.items() if name in options.corpus}
    for model, path in corpora.models().items():
        if model not in options.model:
            continue
        table = Table(model, options.threads)
        encode_texts(table, path, names, texts)
        if options.threads == 1:
            if "english" in texts:
                encode_prompts(table, path, names, texts["english"])
            load_times(table, path, names)
        else:
            for text in texts.values():
                two_threads(table, path, text)
        yield from table.rows


def again(arguments: list[str], threads: int) -> None:
    """This program by other numbers of threads: those of a package are read when it is loaded."""
    parallel = "true" if threads > 1 else "false"
    environment = {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": parallel}
    command = [sys.executable, __file__, *arguments, "--threads", str(threads)]
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, env=os.environ | environment, check=True)


def main() -> None:
    """Measures, prints a table, writes tokenizer_peers.csv."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", action="append", choices=corpora.MODELS)
    parser.add_argument("--corpus", action="append", choices=corpora.TEXTS)
    parser.add_argument("--package", action="append", choices=list(PACKAGES))
    parser.add_argument("--threads", type=int, help="only with that many; else 1, then 2")
    parser.add_argument("--out", metavar="DIR", type=Path)
    options = parser.parse_args()
    if options.threads is None:
        for threads in (1, 2):
            again(sys.argv[1:], threads)
        return
    options.model = options.model or list(corpora.MODELS)
    options.corpus = options.corpus or list(corpora.TEXTS)
    options.package = options.package or list(PACKAGES)
    rows = list(measured(options))
    if options.out:
        out = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / options.out
        out.mkdir(parents=True, exist_ok=True)
        with (out / f"tokenizer_peers_{options.threads}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
