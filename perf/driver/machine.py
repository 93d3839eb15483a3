"""This machine and this build, for `_meta`; and the machine's peaks, measured once and kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infeng.files import atomic_write
from infeng.jsontext import load_object
from perf.driver.cores import choose_cores
from perf.driver.tasks import BenchProgram, MeasureError, Session, binary

PEAKS_BENCH = binary("perf/peaks/bench")

READ_BYTES = (1 << 14, 1 << 18, 3 << 17, 1 << 20, 1 << 22, 1 << 25, 1 << 28)
_PASSES = 12
_SLICE_S = 0.008


@dataclass(frozen=True)
class Peaks:
    """What one core can do at most, in units of 10^9 a second."""

    int8_gops: dict[str, float]  # by tier; a multiply and an add are two operations
    f32_gflops: dict[str, float]
    read_gb_per_s: dict[str, float]  # from memory, by number of threads, all together
    ghz: float
    load: float  # the lowest load average under which they were measured

    def merged(self, other: Peaks) -> Peaks:
        """The higher of both: others' load only lowers what is measured."""

        def higher(a: dict[str, float], b: dict[str, float]) -> dict[str, float]:
            return {k: max(a.get(k, 0.0), b.get(k, 0.0)) for k in a | b}

        return Peaks(
            higher(self.int8_gops, other.int8_gops),
            higher(self.f32_gflops, other.f32_gflops),
            higher(self.read_gb_per_s, other.read_gb_per_s),
            max(self.ghz, other.ghz),
            min(self.load, other.load),
        )

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def describe() -> dict[str, Any]:
    """hardware and build as the benchmark binaries of this build tell them."""
    return BenchProgram(PEAKS_BENCH).describe()


def yardstick(tier: str, threads: int = 1) -> BenchProgram:
    """The program of Int8Mac, F32Fma, Cycles and Read/bytes:N, to compare a kernel with."""
    return BenchProgram(PEAKS_BENCH, (f"--force_path={tier}", f"--threads={threads}"))


def read_name(size: float) -> str:
    """The yardstick that reads as many bytes as `size`, or the next more that there are."""
    fits = [b for b in READ_BYTES if b >= size] or [READ_BYTES[-1]]
    return f"Read/bytes:{fits[0]}"


def load_peaks(hardware: dict[str, Any]) -> Peaks:
    """The peaks, from the user's cache or measured now (some seconds).

    What was measured on a busy machine is measured again at the next call."""
    path = _cache(hardware)
    known = Peaks(**load_object(path)) if path.exists() else None
    if known and known.load < hardware["threads"] / 2:
        return known
    peaks = _measure(hardware)
    if known:
        peaks = peaks.merged(known)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(json.dumps(peaks.to_json()).encode())
    return peaks


def _cache(hardware: dict[str, Any]) -> Path:
    # A test leaves nothing behind; the runs of one test share what it measured.
    home = (
        os.environ.get("TEST_TMPDIR")
        or os.environ.get("XDG_CACHE_HOME")
        or os.path.expanduser("~/.cache")
    )
    digest = hashlib.sha256(PEAKS_BENCH.read_bytes()).hexdigest()[:12]
    return Path(home) / "infeng/peaks" / f"{hardware['key']}-{digest}.json"


def _measure(hardware: dict[str, Any]) -> Peaks:
    load = os.getloadavg()[0]
    cores = choose_cores(1)
    int8, f32, read = {}, {}, {}
    ghz = 0.0
    for tier, why_not in hardware["tiers"].items():
        if why_not:
            continue
        session = yardstick(tier).start(cores)
        int8[tier] = _best(session, "Int8Mac", "ops")
        f32[tier] = _best(session, "F32Fma", "ops")
        ghz = _best(session, "Cycles", "cycles")
        session.close()
    for threads in sorted({1, hardware["threads"]}):
        session = yardstick(hardware["tier"], threads).start(choose_cores(threads))
        name = read_name(READ_BYTES[-1])
        read[str(threads)] = _best(session, name, "bytes", clock_real=threads > 1)
        session.close()
    return Peaks(int8, f32, read, ghz, load)


def _best(session: Session, name: str, count: str, clock_real: bool = False) -> float:
    """The highest rate of several short slices, in 10^9 a second."""
    first = session.slice(name, 1)
    once = max(session.slice(name, 1).real_s, 1e-6)
    iterations = max(1, int(_SLICE_S / once))
    best = min(
        session.slice(name, iterations).seconds("real" if clock_real else "cpu")
        for _ in range(_PASSES)
    )
    if best <= 0:
        raise MeasureError(f"{name}: the clock does not move")
    return first.counts[count] / best / 1e9


def commit() -> tuple[str | None, bool | None]:
    """The checkout's commit and whether it differs from it, baselines aside; None if unknown."""
    folder = os.environ.get("BUILD_WORKSPACE_DIRECTORY") or str(Path(__file__).resolve().parent)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", folder, *arguments],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ).stdout.strip()

    try:
        top = git("rev-parse", "--show-toplevel")
        head = git("rev-parse", "HEAD")
        changed = git("-C", top, "status", "--porcelain", "--", ".", ":!perf/baselines")
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return head, bool(changed)
