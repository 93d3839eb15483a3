"""infeng's linear layers beside those of other software: one thread, activations quantised as they come.

    tools/bazel run //perf/peers:gemm -- [--rounds=5] [--rows=1,16,128] [--out=reports]

Installs torch, onnxruntime and OpenVINO (gigabytes) and builds llama.cpp's ggml first. Ours and each of theirs
take turns on one core; a ratio is the median over the rounds of their time over ours. Writes peers_gemm.csv and
prints, for each layer, how fast each is and ours against the best of them: int8 against int8, int4 against int4."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infeng.cli.console import print_table
from infeng.errors import InfengError, UsageError, one_line
from perf.driver.tasks import BenchProgram, BenchSession, binary
from perf.peers import environment, peer_matmul
from perf.peers.ggml import Ggml
from perf.peers.rows import write

LAYERS = ((576, 576), (1536, 576), (576, 1536), (2048, 2048), (4096, 4096), (11008, 4096))
_BENCH = binary("perf/sweeps/gemm/bench")
_SLICE_S = 0.03
# A quantised product of these data differs from the f32 one by less, as root mean squares.
_TOLERANCE = {"int8": 0.06, "int4": 0.2}
Times = dict[tuple[str, str], list[float]]  # (dtype, who) to seconds of one call by round
Floats = NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--rows", default="1,16,128", metavar="M[,M...]")
    parser.add_argument("--out", type=Path, default=Path("reports"), metavar="FOLDER")
    args = parser.parse_args()
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    try:
        if not all(m.isdecimal() and int(m) > 0 for m in args.rows.split(",")):
            raise UsageError(f"--rows={args.rows}: expected numbers above 0")
        environment.use("matmul")
        ggml = Ggml()
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        lines: list[tuple[object, ...]] = []
        table = []
        for m in map(int, args.rows.split(",")):
            for n, k in LAYERS:
                times = measure(ggml, m, n, k, args.rounds)
                table += list(rows(times, m, n, k))
                lines += [
                    (m, n, k, dtype, who, i + 1, f"{s * 1e6:.2f}", _gops(s, m, n, k))
                    for (dtype, who), seconds in times.items()
                    for i, s in enumerate(seconds)
                ]
        columns = ("M", "N", "K", "dtype", "who", "round", "us", "gops")
        write(args.out / "peers_gemm.csv", columns, lines)
    except InfengError as e:
        print(f"gemm: {one_line(e)}", file=sys.stderr)
        return 1
    print_table(("M", "N", "K", "type", "infeng", "theirs", "ratio to the best"), table)
    return 0


def measure(ggml: Ggml, m: int, n: int, k: int, rounds: int) -> Times:
    """Seconds of one call, of ours and all peers, in turns. Raises InfengError."""
    random = np.random.default_rng(0)
    weight = random.standard_normal((n, k), np.float32)
    x = random.standard_normal((m, k), np.float32)
    expected = x @ weight.T
    calls: dict[tuple[str, str], Callable[[], object]] = {}

    def add(dtype: str, who: str, call: Callable[[], object], result: Callable[[], Floats]) -> None:
        call()
        error = np.sqrt(np.mean((result() - expected) ** 2) / np.mean(expected**2))
        if not error < _TOLERANCE[dtype]:
            raise InfengError(f"{who}, M={m} N={n} K={k}: its result is off by {error:.3f}")
        calls[dtype, who] = call

    for name, make in peer_matmul.INT8.items():
        call = make(weight, x)
        add("int8", name, call, _result(call, m, n))
    for kind in ("Q8_0", "Q4_0", "Q4_1"):
        dtype = "int8" if kind == "Q8_0" else "int4"
        for repacked in (False, True):
            try:
                call, result = ggml.linear(kind, weight, x, repacked)
            except InfengError:
                continue  # there is none such on this CPU
            add(dtype, f"llama.cpp {kind}{' repacked' if repacked else ''}", call, result)

    shape = f"rows:{m}/n:{n}/k:{k}/digits:1/group:32"
    ours = {"int8": f"Int8/{shape}", "int4": f"Int4/{shape}"}
    session = BenchProgram(_BENCH, (f"--cases={','.join(ours.values())}",)).start(
        sorted(os.sched_getaffinity(0))
    )
    times: Times = {key: [] for key in (("int8", "infeng"), ("int4", "infeng"), *calls)}
    for _ in range(rounds):
        for dtype, name in ours.items():
            times[dtype, "infeng"].append(_ours(session, name))
        for key, call in calls.items():
            times[key].append(_theirs(call))
    session.close()
    return times


def _result(call: Callable[[], object], m: int, n: int) -> Callable[[], Floats]:
    return lambda: np.asarray(call(), np.float32).reshape(m, n)


def _ours(session: BenchSession, name: str) -> float:
    once = session.slice(name, 1).cpu_s
    count = max(1, int(_SLICE_S / max(once, 1e-6)))
    return session.slice(name, count).cpu_s / count


def _theirs(call: Callable[[], object]) -> float:
    call()
    count, started = 0, time.process_time()
    while (spent := time.process_time() - started) < _SLICE_S or count == 0:
        call()
        count += 1
    return spent / count


def rows(times: Times, m: int, n: int, k: int) -> Iterable[list[str]]:
    """Gop/s of ours and of each peer, and ours against the best peer of each round."""
    for dtype in ("int8", "int4"):
        peers = {who: s for (d, who), s in times.items() if d == dtype and who != "infeng"}
        ours = times[dtype, "infeng"]
        best = [min(turn) for turn in zip(*peers.values(), strict=True)]
        ratio = statistics.median(b / o for b, o in zip(best, ours, strict=True))
        theirs = ", ".join(
            f"{who} {_gops(statistics.median(s), m, n, k)}" for who, s in peers.items()
        )
        mine = _gops(statistics.median(ours), m, n, k)
        yield [str(m), str(n), str(k), dtype, mine, theirs, f"{ratio:.2f}x"]


def _gops(seconds: float, m: int, n: int, k: int) -> str:
    return f"{2 * m * n * k / seconds / 1e9:.1f}"


if __name__ == "__main__":
    sys.exit(main())
