"""The tokenizer beside Hugging Face's `tokenizers`, by model, text and threads: tokenizer.csv.

tools/bazel run //perf:tokenizer_sweep -- --out reports
tools/bazel run //perf:tokenizer_sweep -- --model mine=tokenizer.json --corpus mine=text.txt
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy

from infeng.errors import InputError, UsageError
from infeng.native import Tokenizer
from perf.driver.pairs import FULL, QUICK, Pair, Result
from perf.driver.sweep import Lab, Row, Sweep, Value, columns, main, row_name, speed
from perf.driver.tasks import Clock, PythonProgram, Task
from perf.sweeps.tokenizer.models import models as own_models

# Its threads are those of the first use in a process; one document has no use for more.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers

COLUMNS = columns(
    "impl,model,corpus,threads,prefix_k,prefix_cache_entries,docs,bytes,tokens,tokens_per_s,"
    "mb_per_s,speedup_vs_hf,exact_pct,reps,cv_pct"
)
KEYS = columns("impl,model,corpus,threads,prefix_k,prefix_cache_entries")

# Of a document, and of a batch for several threads.
CHARS = 4000
BATCH = 512
PREFIX = (512, 32)


@dataclass(frozen=True)
class Case:
    """A row."""

    model: str
    corpus: str
    threads: int = 1
    prefix_k: int = 0
    prefix_cache_entries: int = 0

    def key(self) -> dict[str, Value]:
        return {
            "impl": "infeng",
            "model": self.model,
            "corpus": self.corpus,
            "threads": self.threads,
            "prefix_k": self.prefix_k,
            "prefix_cache_entries": self.prefix_cache_entries,
        }


def cases(lab: Lab, models: Iterable[str], corpora: Sequence[str], threads: int) -> Iterator[Case]:
    if lab.quick:
        yield Case("smollm2", "english")
        yield Case("llama3", "code")
        yield Case("llama3", "prompts", 1, *PREFIX)
        return
    for model in models:
        for corpus in corpora:
            yield Case(model, corpus, threads)
        if threads > 1:
            continue
        for several in (2, 4, 8):
            yield Case(model, "code", several)
        yield Case(model, "prompts", 1, *PREFIX)


def documents(text: str) -> list[str]:
    """The text in pieces of equal length."""
    return [text[i : i + CHARS] for i in range(0, len(text), CHARS)][:-1] or [text]


def prompts(text: str) -> list[str]:
    """Questions to an assistant, all after the same instructions."""
    system = " ".join(text[:2000].split())
    lines = [line.strip() for line in text[2000:].splitlines() if len(line) > 20]
    return [
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{line}<|im_end|>\n"
        for line in lines
    ]


def own_corpora() -> dict[str, Callable[[], list[str]]]:
    """Texts that come with the build."""
    root = Path(__file__).parents[3]

    def english() -> str:
        return (root / "testdata/text_handbook/handbook_a.txt").read_text("utf-8")

    def code() -> str:
        sources = sorted(Path(numpy.__file__).parent.rglob("*.py"))
        return "".join(path.read_text("utf-8") for path in sources)[:4_000_000]

    def multilingual() -> str:
        return (root / "testdata/text/multilingual.txt").read_text("utf-8")

    return {
        "english": lambda: documents(english()),
        "code": lambda: documents(code()),
        "multilingual": lambda: documents(multilingual()),
        "prompts": lambda: prompts(english()),
    }


def named(arguments: list[str], flag: str) -> dict[str, Path]:
    """[NAME=]FILE arguments; of a file alone, its stem is the name. Raises InputError."""
    found = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        file = Path(path if equals else argument)
        if not file.is_file():
            raise InputError(f"{flag} {argument}: no such file")
        found[name if equals else file.stem] = file
    return found


def cycled(texts: list[str], encode: Callable[[str], object]) -> Callable[[], None]:
    """Encodes the next document, each time another: what is met again was long ago.

    In no order: neighbours are alike, and a slice of the slower side holds few documents."""
    following = itertools.cycle(random.Random(0).sample(texts, len(texts)))

    def run() -> None:
        encode(next(following))

    return run


def rows(lab: Lab, options: argparse.Namespace) -> Iterable[Row]:
    models = own_models(Path(__file__).with_name("models.txt")) | named(options.model, "--model")
    corpora: Mapping[str, Callable[[], list[str]]] = own_corpora() | {
        name: lambda path=path: documents(path.read_text("utf-8"))
        for name, path in named(options.corpus, "--corpus").items()
    }
    if options.force_path != "auto":
        raise UsageError(f"--force_path={options.force_path}: the tokenizer has no tiers")
    texts = [c for c in corpora if c != "prompts"]
    for case in cases(lab, models, texts, options.threads):
        if not lab.wants(row_name(SWEEP, "tokenizer", case.key())):
            continue
        if case.model not in models:
            yield Row("tokenizer", case.key(), skipped="its package is not here: npm is needed")
            continue
        yield measured(lab, case, models[case.model], corpora[case.corpus]())


def measured(lab: Lab, case: Case, path: Path, texts: list[str]) -> Row:
    ours = Tokenizer.from_file(
        path, prefix_k=case.prefix_k, prefix_cache_entries=case.prefix_cache_entries
    )
    reference = tokenizers.Tokenizer.from_file(str(path))
    ids = [e.ids for e in reference.encode_batch_fast(texts, add_special_tokens=False)]
    exact = [a.tolist() == b for a, b in zip(ours.encode_batch(texts, False), ids, strict=True)]

    size = sum(len(text.encode()) for text in texts)
    tokens = sum(map(len, ids))
    batch = (texts * (BATCH // len(texts) + 1))[:BATCH]
    functions = PythonProgram(
        lambda: {
            "ours": cycled(texts, lambda text: ours.encode(text, False)),
            "hf": cycled(
                texts, lambda text: reference.encode_batch_fast([text], add_special_tokens=False)
            ),
            "batch": lambda: ours.encode_batch_flat(batch, False, threads=case.threads),
            "batch by one": lambda: ours.encode_batch_flat(batch, False, threads=1),
        }
    )
    clock: Clock = "cpu" if case.threads == 1 else "real"
    if case.threads == 1:
        name, per_call = "hf", 1
        tasks = Task(functions, "ours", clock), Task(functions, "hf", clock)
    else:
        name, per_call = "one", len(batch)
        tasks = Task(functions, "batch", clock), Task(functions, "batch by one", clock)
    title = f"{case.model} {case.corpus} {case.threads} against {name}"
    (result,) = lab.measure([Pair(title, *tasks, case.threads)])
    return _row(case, result, name, size / len(texts) * per_call, tokens / size, len(texts), exact)


def _row(
    case: Case,
    result: Result,
    name: str,
    bytes_per_call: float,
    tokens_per_byte: float,
    docs: int,
    exact: list[bool],
) -> Row:
    speeds = speed(result)
    row = Row("tokenizer", case.key())
    ratio = row.compare(name, result).ratio
    bytes_per_s = bytes_per_call / speeds["seconds"]
    row.values |= {
        "docs": docs,
        "bytes": round(bytes_per_call),
        "tokens": round(bytes_per_call * tokens_per_byte),
        "tokens_per_s": bytes_per_s * tokens_per_byte,
        "mb_per_s": bytes_per_s / 1e6,
        "speedup_vs_hf": ratio if name == "hf" else 0.0,
        "exact_pct": 100 * sum(exact) / len(exact),
        "reps": int(speeds["reps"]),
        "cv_pct": speeds["cv_pct"],
    }
    return row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="a further tokenizer.json",
    )
    parser.add_argument(
        "--corpus", action="append", default=[], metavar="[NAME=]FILE", help="a further text"
    )


SWEEP = Sweep(
    name="tokenizer",
    title="The tokenizer beside Hugging Face's.",
    tables={"tokenizer": COLUMNS},
    keys={"tokenizer": KEYS},
    units={
        "bytes": "bytes of UTF-8 a call",
        "tokens": "tokens a call",
        "mb_per_s": "10^6 bytes of UTF-8/s",
        "speedup_vs_hf": "ratio of speeds; 0 where several threads are compared with one",
        "exact_pct": "% of documents with the ids of `tokenizers`",
    },
    run=rows,
    add_arguments=add_arguments,
    # Bounds and tolerance are wide, and rows are measured one by one.
    quick=replace(QUICK, precision=0.01, max_epochs=20),
    full=replace(FULL, precision=0.01, max_epochs=20),
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
