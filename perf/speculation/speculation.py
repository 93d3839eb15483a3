"""Drafts from the text so far: how fast answers come with them and without, in turns in one process.

    tools/bazel run //perf/speculation -- [--speculate=8] [--rounds=5] [--threads=N] [--out=reports]

Each text is answered without and with drafts, one after the other, round after round; a ratio is the median over
the rounds of the time without over that with, of the whole answer, its prompt included; with one thread the
CPU's time, so that what else the machine does matters less. Eight at a time are a batch of eight seeds. Tokens and logprobs are compared too: if any differs, it fails. Writes speculation.csv
and prints the table."""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from infeng.cli.console import print_table
from infeng.errors import InfengError, one_line
from infeng.generation import SamplingParams
from infeng.llm import LLM
from perf.peers.rows import write
from perf.speculation.texts import Text, texts

HANDBOOK = Path(__file__).parents[2] / "testdata/text_handbook/handbook_a.txt"
COLUMNS = (
    "text",
    "repeats",
    "batch",
    "tokens",
    "proposed",
    "accepted",
    "tokens_per_s",
    "ratio",
    "low",
    "high",
)
Row = tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speculate", type=int, default=8, metavar="K")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--tokens", type=int, default=256, metavar="N", help="of an answer")
    parser.add_argument("--batch", default="1,8", metavar="N[,N]", help="answers at a time")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--kv", metavar="DTYPE")
    parser.add_argument("--model", metavar="PATH")
    parser.add_argument("--only", default="", metavar="TEXT", help="texts whose name holds it")
    parser.add_argument("--out", type=Path, default=Path("reports"), metavar="FOLDER")
    args = parser.parse_args()
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    try:
        rows = []
        for row in measure(args):
            print(*row, file=sys.stderr)
            rows.append(row)
        write(args.out / "speculation.csv", COLUMNS, rows)
    except InfengError as e:
        print(f"speculation: {one_line(e)}", file=sys.stderr)
        return 1
    print_table(COLUMNS, rows)
    return 0


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """A row per text and size of batch, then one per kind of text: the geometric mean."""
    options = {"threads": args.threads or "auto", "kv": args.kv}
    with (
        LLM(args.model, **options) as plain,
        LLM(args.model, speculate=args.speculate, **options) as drafting,
    ):
        for batch in map(int, args.batch.split(",")):
            ratios: dict[bool, list[float]] = {True: [], False: []}
            for text in texts(HANDBOOK):
                if args.only not in text.name:
                    continue
                ratio, row = compare(plain, drafting, text, batch, args)
                ratios[text.repeats].append(ratio)
                yield row
            for repeats, values in ratios.items():
                if values:
                    mean = math.exp(statistics.fmean(map(math.log, values)))
                    yield (
                        "geometric mean", str(repeats).lower(), str(batch), "", "", "", "",
                        f"{mean:.2f}", f"{min(values):.2f}", f"{max(values):.2f}",
                    )  # fmt: skip


def compare(
    plain: LLM, drafting: LLM, text: Text, batch: int, args: argparse.Namespace
) -> tuple[float, Row]:
    """Without and with in turns. Raises InfengError if tokens or logprobs differ."""
    base = {"max_tokens": args.tokens, "logprobs": 0, **text.sampling}
    asked = [SamplingParams(**{**base, "seed": base.get("seed", 0) + i}) for i in range(batch)]
    times: list[tuple[float, float]] = []
    for number in range(args.rounds + 1):
        seconds, told, drafts = [], [], (0, 0)
        # Who goes first changes, and the first round only warms.
        for llm in (plain, drafting) if number % 2 else (drafting, plain):
            spent, answers, (proposed, accepted) = answer(llm, text, asked)
            seconds.append(spent)
            told.append(answers)
            drafts = (drafts[0] + proposed, drafts[1] + accepted)
        if told[0] != told[1]:
            raise InfengError(f"{text}: drafts have changed the answer")
        if number:
            times.append((seconds[0], seconds[1]) if number % 2 else (seconds[1], seconds[0]))
    ratios = sorted(without / with_ for without, with_ in times)
    ratio = statistics.median(ratios)
    tokens = sum(len(ids) for ids in told[0])
    rate = statistics.median(tokens / with_ for _, with_ in times)
    row = (text.name, str(text.repeats).lower(), str(batch), str(tokens), *map(str, drafts))
    return ratio, (*row, f"{rate:.1f}", *(f"{x:.3f}" for x in (ratio, ratios[0], ratios[-1])))


def answer(
    llm: LLM, text: Text, asked: list[SamplingParams]
) -> tuple[float, list[list[object]], tuple[int, int]]:
    """Seconds, tokens with their logprobs, and tokens of drafts proposed and accepted."""
    clock = time.process_time if llm.engine.threads == 1 else time.perf_counter
    llm.runner.drop_prefixes()
    ids = llm.encode(text.prompt, text.raw)
    started = clock()
    answers = [llm.answer(ids, params) for params in asked]
    for one in answers:
        llm.runner.submit(one)
    llm.runner.run(lambda: all(a.finish_reason is not None for a in answers))
    spent = clock() - started
    llm.runner.settle()
    told: list[list[object]] = [[(e.id, e.logprobs) for e in a.events] for a in answers]
    return spent, told, (sum(a.proposed for a in answers), sum(a.accepted for a in answers))


if __name__ == "__main__":
    sys.exit(main())
