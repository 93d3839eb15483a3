"""The scheduler and the engine under an open load over many adapters: sched_zipf.csv.

tools/bazel run //perf:sched_zipf_sweep -- --load_rps 4 --duration_s 30 --mean_adapters 2
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from infeng.adapter import open_adapter
from infeng.errors import UsageError
from infeng.llm import LLM
from infeng.native import Engine
from infeng.runner import Runner
from perf.driver.machine import READ_BYTES, read_name, yardstick
from perf.driver.pairs import Pair, Plan, Result
from perf.driver.sweep import Lab, Row, Sweep, Value, columns, main, row_name
from perf.driver.tasks import MeasureError, PythonProgram, Task
from perf.sweeps.sched_zipf.adapters import write_copies
from perf.sweeps.sched_zipf.cost_model import CostModelEngine
from perf.sweeps.sched_zipf.drive import Stages, clock, cores_of, drive
from perf.sweeps.sched_zipf.load import Shape, draw, without_adapters
from perf.sweeps.sched_zipf.streams import STREAMS, UNIT, Streams
from perf.sweeps.sched_zipf.trace import Trace, figures, lora_tax_pct

COLUMNS = columns(
    "sched,alpha,adapters_N,mean_adapters_per_req,rank,load_rps,duration_s,decode_threads,"
    "adapter_threads,pin_cores,p50_ms,p95_ms,base_p95_ms,lora_tax_pct,hot_reload_ms_p95,"
    "tokens_per_s,queue_ms_p95,decode_util,adapter_util,overlap_ratio"
)
# Those that are drawn are the same for the same knobs: the load has a fixed seed.
KEYS = columns(
    "sched,alpha,adapters_N,mean_adapters_per_req,rank,load_rps,duration_s,decode_threads,"
    "adapter_threads,pin_cores"
)
TABLE = "sched_zipf"
QUICK_S, FULL_S = 8.0, 60.0
# The short form's load is one that also a slow CPU answers: overload takes long to drain.
QUICK_RPS, FULL_RPS = 3.0, 6.0
WARM_S = 2.0


@dataclass(frozen=True)
class Case:
    """A row's knobs."""

    sched: str
    shape: Shape
    rank: int
    resident: int
    decode_threads: int
    adapter_threads: int
    pin_cores: bool

    def key(self) -> dict[str, Value]:
        """As far as it is known before: of the load, what will be drawn."""
        asks, _ = draw(self._part)
        number = sum(len(a.adapters) for a in asks) / len(asks) if asks else 0.0
        return {
            "sched": self.sched,
            "alpha": self.shape.alpha,
            "adapters_N": self.shape.adapters,
            "mean_adapters_per_req": number,
            "rank": self.rank,
            "load_rps": len(asks) / self._part.duration_s,
            "duration_s": self.shape.duration_s,
            "decode_threads": self.decode_threads,
            "adapter_threads": self.adapter_threads,
            "pin_cores": self.pin_cores,
        }

    @property
    def _part(self) -> Shape:
        return dataclasses.replace(self.shape, duration_s=self.shape.duration_s / 2)


def cases(lab: Lab, args: argparse.Namespace) -> Iterator[Case]:
    """The one that is asked for; without a knob of the load, in full, some more."""
    decode = args.decode_threads or len(os.sched_getaffinity(0))
    duration = args.duration_s or (QUICK_S if lab.quick else FULL_S)
    load_rps = args.load_rps or (QUICK_RPS if lab.quick else FULL_RPS)

    def case(alpha: float, adapters: int, mean: float, rps: float, seconds: float) -> Case:
        return Case(
            {"real": "infeng", "cost-model": "infeng-cost-model"}[args.engine],
            Shape(alpha, adapters, mean, rps, seconds, args.reload_s),
            args.rank,
            args.resident or max(STREAMS, adapters // 2),
            decode,
            args.adapter_threads,
            args.pin_cores,
        )

    asked = case(args.alpha, args.adapters, args.mean_adapters, load_rps, duration)
    yield asked
    if lab.quick or args.one_row:
        return
    # The short form's, so that a full baseline holds its row.
    yield case(args.alpha, args.adapters, args.mean_adapters, args.load_rps or QUICK_RPS, QUICK_S)
    for alpha in (0.0, 1.5):
        yield case(alpha, args.adapters, args.mean_adapters, load_rps, duration)
    yield case(args.alpha, args.adapters, 3.0, load_rps / 3, duration)
    yield case(args.alpha, args.adapters, args.mean_adapters, 2 * load_rps, duration)


@contextmanager
def bench(
    case: Case, paths: Sequence[Path], decode_cores: Sequence[int] | None,
    adapter_cores: Sequence[int] | None,
) -> Iterator[tuple[LLM, Runner]]:  # fmt: skip
    """A model and a runner of its engine, with all adapters known and the first ones loaded."""
    before = os.sched_getaffinity(0)
    if decode_cores is not None:
        os.sched_setaffinity(0, decode_cores)  # the engine's threads inherit it
    try:
        llm = LLM(threads=case.decode_threads)
    finally:
        os.sched_setaffinity(0, before)

    def pin() -> None:
        if adapter_cores is not None:
            os.sched_setaffinity(0, adapter_cores)

    with llm:
        sources = [open_adapter(path, llm.base) for path in paths]
        engine = llm.engine
        if case.sched != "infeng":
            engine = cast(Engine, CostModelEngine(engine.vocab_size))
        runner = Runner(
            engine,
            llm.runner.limits,
            adapter_bytes=case.resident * max(source.bytes for source in sources),
            adapter_threads=case.adapter_threads,
            adapter_thread_start=pin,
            clock=clock,
        )
        try:
            for path, source in reversed([*zip(paths, sources)]):
                runner.add_adapter(path.name, source, load=True)
            yield llm, runner
        finally:
            runner.close()


def open_load(case: Case, paths: Sequence[Path]) -> tuple[list[Trace], list[Trace]]:
    """Traces with adapters and without, in turns: with, without, without, with."""
    decode_cores, adapter_cores = (
        cores_of(case.decode_threads, case.adapter_threads) if case.pin_cores else (None, None)
    )
    names = [path.name for path in paths]
    mixed: list[Trace] = []
    base: list[Trace] = []
    with (
        bench(case, paths, decode_cores, adapter_cores) as (llm, runner),
        Stages(runner, decode_cores) as stages,
    ):

        def run(shape: Shape, adapters: bool) -> Trace:
            asks, reloads = draw(shape)
            if not adapters:
                asks, reloads = without_adapters(asks), []
            wait = max(10.0, shape.duration_s)
            seconds = shape.duration_s
            return drive(llm, runner, stages, names, paths, asks, reloads, seconds, wait)

        half = dataclasses.replace(case.shape, duration_s=case.shape.duration_s / 2)
        warm = dataclasses.replace(half, duration_s=WARM_S, seed=half.seed + 1)
        for adapters in (True, False):
            run(warm, adapters)
        for adapters in (True, False, False, True):
            (mixed if adapters else base).append(run(half, adapters))
    return mixed, base


def closed_loop(lab: Lab, case: Case, paths: Sequence[Path], tier: str) -> dict[str, Result]:
    """Eight streams of eight adapters against the same without any, and against memory's speed."""
    stack = ExitStack()

    def setup() -> Mapping[str, Callable[[], object]]:
        llm, mixed = stack.enter_context(bench(case, paths[:STREAMS], None, None))
        base = Runner(llm.engine, llm.runner.limits)
        stack.callback(base.close)
        names: list[str | None] = [path.name for path in paths[:STREAMS]]
        return {
            "mixed": Streams(llm, mixed, names).unit,
            "base": Streams(llm, base, [None] * STREAMS).unit,
        }

    program = PythonProgram(setup, stack.close)
    threads = case.decode_threads
    ours = Task(program, "mixed", "real", UNIT)
    read = READ_BYTES[-1]
    roof = Task(yardstick(tier, threads), read_name(read), "real", "bytes")
    results = lab.measure(
        [
            Pair("eight adapters against none", ours, Task(program, "base", "real", UNIT), threads),
            Pair("eight adapters against memory", ours, roof, threads),
        ]
    )
    return dict(zip(("base", "yardstick"), results))


def rows(lab: Lab, args: argparse.Namespace) -> Iterable[Row]:
    tier = lab.hardware["tier"]
    _check(args)
    every = dict.fromkeys(cases(lab, args))
    wanted = [c for c in every if lab.wants(row_name(SWEEP, TABLE, c.key()))]
    compared: dict[str, Result] = {}
    with tempfile.TemporaryDirectory(prefix="adapters") as folder:
        count = max([STREAMS, *(c.shape.adapters for c in wanted)])
        paths = write_copies(Path(folder), count, args.rank)
        if wanted and args.engine == "real":
            compared = closed_loop(lab, wanted[0], paths, tier)
        for case in wanted:
            lab.say(f"{case.shape}")
            yield measured(case, paths[: case.shape.adapters], compared)


def measured(case: Case, paths: Sequence[Path], compared: Mapping[str, Result]) -> Row:
    traces, base_traces = open_load(case, paths)
    try:
        mixed, base = figures(traces), figures(base_traces)
    except ValueError as e:
        raise MeasureError(f"{e}: give a higher --load_rps or a longer --duration_s") from e
    row = Row(TABLE, case.key())
    for name, result in compared.items():
        row.compare(name, result)
    row.values |= {
        name: getattr(mixed, name) for name in COLUMNS if name not in KEYS and hasattr(mixed, name)
    } | {
        "base_p95_ms": base.p95_ms,
        "lora_tax_pct": lora_tax_pct(mixed, base),
    }
    return row


def _check(args: argparse.Namespace) -> None:
    for name in ("load_rps", "duration_s", "alpha", "reload_s"):
        value = getattr(args, name)
        if value is not None and not (0 <= value < 1e6):
            raise UsageError(f"--{name} {value}: expected a number from 0 on")
    if args.load_rps == 0:
        raise UsageError("--load_rps 0: nothing would arrive")
    if not 1 <= args.mean_adapters <= args.adapters:
        raise UsageError(
            f"--mean_adapters {args.mean_adapters}: expected from 1 to --adapters {args.adapters}"
        )


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 1 to 1024")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--load_rps", type=float, help=f"requests/s: {QUICK_RPS:g} with --quick, {FULL_RPS:g}"
    )
    parser.add_argument("--duration_s", type=float, help=f"{QUICK_S:g} with --quick, {FULL_S:g}")
    parser.add_argument("--mean_adapters", type=float, default=1.0, help="of a request: 1")
    parser.add_argument("--adapters", type=_count, default=16, metavar="N", help="in all: 16")
    parser.add_argument("--alpha", type=float, default=1.0, help="exponent of their popularity: 1")
    parser.add_argument("--rank", type=_count, default=8, metavar="R", help="of the adapters: 8")
    parser.add_argument("--resident", type=_count, metavar="N", help="adapters in memory: half")
    parser.add_argument("--reload_s", type=float, default=1.0, help="between reloads: 1; 0: none")
    parser.add_argument("--decode_threads", type=_count, metavar="N", help="left out: the cores")
    parser.add_argument("--adapter_threads", type=_count, default=1, metavar="N", help="1")
    parser.add_argument("--pin_cores", action="store_true", help="CPUs of its own for each stage")
    parser.add_argument("--engine", choices=("real", "cost-model"), default="real")
    parser.add_argument("--one_row", action="store_true", help="no row but the one asked for")


SWEEP = Sweep(
    name="sched_zipf",
    title="The scheduler and the engine under an open load over many adapters.",
    tables={TABLE: COLUMNS},
    keys={TABLE: KEYS},
    units={
        "load_rps": "requests/s that arrived",
        "duration_s": "s",
        "p50_ms": "ms from arrival to the last token",
        "p95_ms": "ms from arrival to the last token",
        "base_p95_ms": "ms from arrival to the last token, without adapters",
        "lora_tax_pct": "% of the tokens per busy second without adapters",
        "hot_reload_ms_p95": "ms",
        "tokens_per_s": "generated tokens/s",
        "queue_ms_p95": "ms from arrival to the first step",
        "decode_util": "share of the window",
        "adapter_util": "share of the window",
        "overlap_ratio": "share of the less busy stage's time",
    },
    run=rows,
    add_arguments=add_arguments,
    quick=Plan(blocks=2, min_epochs=4, max_epochs=10, precision=0.01, budget_s=20.0),
    full=Plan(blocks=6, min_epochs=10, max_epochs=20, precision=0.005, budget_s=120.0),
)

if __name__ == "__main__":
    sys.exit(main(SWEEP))
