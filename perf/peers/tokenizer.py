"""infeng's tokenizer beside gigatoken, fastokens, splintr and `tokenizers`, on text that none has seen.

    tools/bazel run //perf/peers:tokenizer -- [--rounds=3] [--model=llama3 ...] [--out=reports]

Each text is cut into documents, in no order. All packages encode the first half, to warm up; then they take
turns on batches of the second (A B C, B C A, ...), so that all see the same noise. Each model, number of threads
and round is a process of its own, since some caches are the process's. A figure is the median over the rounds,
of CPU time for one thread; ids and texts are held against those of `tokenizers`. Writes tokenizer_peers.csv."""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infeng.cli.console import print_table
from infeng.errors import InfengError, one_line
from perf.peers import corpora
from perf.peers.environment import use
from perf.peers.rows import write
from perf.peers.tokenizer_packages import OURS, PACKAGES, REFERENCE, Loaded, exactness, load

# Characters of a document; batches of the second half of a text.
CHARS, BATCHES = 8000, 6
COLUMNS = ("model", "work", "threads", "package", "speed", "unit", "times_ours", "exact", "note")

Row = dict[str, Any]
Seconds = dict[str, list[float]]  # of each package, by turn


def chat(model: str, text: str) -> str:
    """A short prompt in the marks of a model's chat template."""
    chatml = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
    llama3 = (
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    )
    before, after = {
        "smollm2": chatml,
        "qwen3": chatml,
        "llama3": llama3,
        "gemma": ("<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"),
        "llama2": ("[INST] ", " [/INST]"),
    }.get(model, ("User: ", "\nAssistant:"))
    return before + text + after


def documents(text: str, seed: int) -> list[str]:
    pieces = [text[i : i + CHARS] for i in range(0, len(text), CHARS)]
    return random.Random(seed).sample(pieces, len(pieces))


def halves(pieces: list[str]) -> tuple[list[str], list[list[str]]]:
    """What to warm up on, and batches of the rest."""
    half = len(pieces) // 2
    size = max(1, (len(pieces) - half) // BATCHES)
    return pieces[:half], [pieces[i : i + size] for i in range(half, len(pieces), size)]


def in_turn(
    names: list[str],
    batches: Sequence[Any],
    run: Callable[[str, Any], Any],
    clock: Callable[[], float],
) -> Seconds:
    """All packages on each batch, the first of them another each time."""
    seconds: Seconds = {name: [] for name in names}
    for number, work in enumerate(batches):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            start = clock()
            result = run(name, work)
            seconds[name].append(clock() - start)
            del result
    return seconds


class Measurements:
    """One model, in this process: rows of the report."""

    def __init__(self, model: str, path: Path, names: list[str], threads: int, seed: int) -> None:
        self.model, self.path, self.names = model, path, names
        self.threads, self.seed = threads, seed
        self.rows: list[Row] = []

    def add(
        self,
        work: str,
        seconds: Seconds,
        amount: float,
        unit: str,
        exact: dict[str, bool],
        failed: dict[str, str],
    ) -> None:
        """`amount` of units in all turns together; of `ns` and `ms`, time by amount."""
        for name in self.names:
            row: Row = {"model": self.model, "work": work, "threads": self.threads}
            row |= {"package": name, "unit": unit, "note": failed.get(name, "")}
            if name in seconds:
                took = sum(seconds[name])
                scale = {"ns": 1e9, "ms": 1e3}.get(unit)
                row["speed"] = took / amount * scale if scale else amount / took
                row["times_ours"] = took / sum(seconds[OURS])
                row["exact"] = exact.get(name)
            self.rows.append(row)

    def encode(self, corpus: str, text: str) -> None:
        """Long documents, by the calls for batches."""
        loaded = load(self.path, self.names, self.threads)
        warm, batches = halves(documents(text, self.seed))
        for package in loaded.packages.values():
            package.batch(warm)

        def run(name: str, batch: list[str]) -> Any:
            return loaded.packages[name].batch(batch)

        clock = time.process_time if self.threads == 1 else time.perf_counter
        seconds = in_turn(list(loaded.packages), batches, run, clock)
        unseen = [t for batch in batches for t in batch]
        # Ids do not depend on the round.
        exact = exactness(loaded, unseen) if self.seed == 0 and self.threads == 1 else {}
        size = sum(len(t.encode()) for t in unseen)
        self.add(corpus, seconds, size / 1e6, "MB/s", exact, loaded.failed)

    def prompts(self, text: str) -> None:
        """Chat prompts, one a call; a call with next to no text."""
        loaded = load(self.path, self.names, 1)
        lines = [line.strip() for line in text.splitlines() if 20 < len(line) < 400]
        lines = random.Random(self.seed).sample(lines, min(len(lines), 12_000))
        warm, batches = halves([chat(self.model, line) for line in lines])

        def each(name: str, texts: list[str]) -> None:
            encode = loaded.packages[name].encode
            for one in texts:
                encode(one)

        present = list(loaded.packages)
        for name in present:
            each(name, warm)
        seconds = in_turn(present, batches, each, time.process_time)
        asked = [t for batch in batches for t in batch]
        exact = exactness(loaded, asked)
        self.add("chat prompts", seconds, len(asked), "prompts/s", exact, loaded.failed)

        tiny = [["Hi"] * 3000] * 5
        seconds = in_turn(present, tiny, each, time.process_time)
        exact = exactness(loaded, ["Hi"])
        self.add("tiny call", seconds, 15_000, "ns", exact, loaded.failed)

    def decode(self, text: str) -> None:
        """Ids of documents back to text, one a call."""
        loaded = load(self.path, self.names, 1)
        reference = loaded.packages[REFERENCE]
        ids = [reference.ids(piece) for piece in documents(text, self.seed)[: 10 * BATCHES]]
        texts = [reference.decode(one) for one in ids]
        able, exact = [], {}
        for name, package in loaded.packages.items():
            try:
                exact[name] = [package.decode(one) for one in ids] == texts
                able.append(name)
            except Exception as error:
                loaded.failed[name] = f"decode: {error}"[:120]

        def run(name: str, sequences: list[list[int]]) -> None:
            decode = loaded.packages[name].decode
            for one in sequences:
                decode(one)

        rounds = [ids[i::BATCHES] for i in range(BATCHES)]
        seconds = in_turn(able, rounds, run, time.process_time)
        size = sum(len(t.encode()) for t in texts)
        self.add("decode", seconds, size / 1e6, "MB/s", exact, loaded.failed)

    def load(self) -> None:
        loaded: Loaded = load(self.path, self.names, 1)
        seconds = {name: [loaded.seconds[name]] for name in loaded.packages}
        self.add("load", seconds, 1, "ms", {}, loaded.failed)

    def of_one_thread(self, corpus: str, text: str) -> None:
        """Ours by as many threads against ours by one, on the wall clock."""
        warm, batches = halves(documents(text, self.seed))
        packages = {n: PACKAGES[OURS](self.path, n) for n in (1, self.threads)}
        for package in packages.values():
            package.batch(warm)

        def run(name: str, batch: list[str]) -> Any:
            return packages[int(name)].batch(batch)

        seconds = in_turn([str(n) for n in packages], batches, run, time.perf_counter)
        row: Row = {"model": self.model, "work": f"{corpus} of one thread", "threads": self.threads}
        ratio = sum(seconds["1"]) / sum(seconds[str(self.threads)])
        self.rows.append(row | {"package": OURS, "speed": ratio, "unit": "ratio", "note": ""})


def one(model: str, names: list[str], threads: int, seed: int) -> list[Row]:
    """A model, in this process."""
    use("tokenizers")
    texts = corpora.texts()
    measurements = Measurements(model, corpora.models()[model], names, threads, seed)
    for corpus, text in texts.items():
        measurements.encode(corpus, text)
        if threads > 1:
            measurements.of_one_thread(corpus, text)
    if threads == 1:
        measurements.prompts(texts["english"])
        measurements.decode(texts["english"])
        measurements.load()
    return measurements.rows


def measured(options: argparse.Namespace) -> list[Row]:
    """Every model, threads and round in a process of its own. Raises InfengError."""
    missing = [m for m in options.model if m not in corpora.models()]
    if missing:
        raise InfengError(f"{', '.join(missing)}: not here, since npm is needed to fetch them")
    rows = []
    for model in options.model:
        for threads in options.threads:
            for seed in range(options.rounds):
                print(f"{model}, {threads} threads, round {seed + 1}", file=sys.stderr)
                rows += _process([model, ",".join(options.package), str(threads), str(seed)])
    return rows


def _process(arguments: list[str]) -> list[Row]:
    threads = arguments[2]
    environment = os.environ | {
        # Read when a package makes its threads.
        "RAYON_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "true" if threads != "1" else "false",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    command = [sys.executable, __file__, "--one", *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InfengError(f"{' '.join(arguments)}: ended with {done.returncode}")
    rows: list[Row] = json.loads(done.stdout.splitlines()[-1])
    return rows


def medians(rows: list[Row]) -> list[Row]:
    """One row for all rounds."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(str(row[c]) for c in ("model", "work", "threads", "package"))].append(row)
    found = []
    for group in groups.values():
        row = {c: group[0].get(c, "") for c in COLUMNS}
        for column in ("speed", "times_ours"):
            values = [r[column] for r in group if column in r]
            row[column] = float(f"{statistics.median(values):.3g}") if values else ""
        exact = [r["exact"] for r in group if r.get("exact") is not None]
        row["exact"] = ("yes" if all(exact) else "no") if exact else ""
        found.append(row)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", choices=corpora.MODELS)
    parser.add_argument("--package", action="append", choices=list(PACKAGES))
    parser.add_argument("--threads", action="append", type=int, help="1 and 2 if not given")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("reports"), metavar="FOLDER")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        model, names, threads, seed = options.one
        print(json.dumps(one(model, names.split(","), int(threads), int(seed))))
        return 0
    options.model = options.model or [m for m in corpora.MODELS if m in corpora.models()]
    asked = {OURS, REFERENCE, *(options.package or PACKAGES)}
    options.package = [name for name in PACKAGES if name in asked]
    options.threads = options.threads or [1, 2]
    try:
        use("tokenizers")
        rows = medians(measured(options))
        out = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / options.out
        write(out / "tokenizer_peers.csv", COLUMNS, [row.values() for row in rows])
    except InfengError as e:
        print(f"tokenizer: {one_line(e)}", file=sys.stderr)
        return 1
    print_table(COLUMNS, [[str(v) for v in row.values()] for row in rows])
    return 0


if __name__ == "__main__":
    sys.exit(main())
