"""What can be measured: a named piece of work in a benchmark process, or a Python function."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from infeng.errors import InfengError

Clock = Literal["cpu", "real"]


# The run files' root, or that of the checkout's own sources. Not resolved: among run files a source
# is a link, and binaries lie beside the link.
_ROOT = Path(__file__).parents[2]


def binary(path: str) -> Path:
    """A benchmark binary by its path from the workspace's root, e.g. "perf/sweeps/gemm/bench".

    INFENG_PERF_BINARIES names a folder whose binaries go first: of another build, to compare."""
    other = Path(os.environ.get("INFENG_PERF_BINARIES", ""), path)
    if os.environ.get("INFENG_PERF_BINARIES") and other.exists():
        return other
    return _ROOT / path


class MeasureError(InfengError):
    """Something could not be measured."""


@dataclass(frozen=True)
class Slice:
    """A short stretch of work."""

    iterations: int
    real_s: float
    cpu_s: float
    counts: dict[str, float] = field(default_factory=dict)  # per iteration, free of noise

    def seconds(self, clock: Clock) -> float:
        """Seconds per iteration."""
        return (self.cpu_s if clock == "cpu" else self.real_s) / self.iterations


class Session(Protocol):
    """A program while it runs: one epoch."""

    def slice(self, name: str, iterations: int) -> Slice: ...
    def close(self) -> None: ...


class Program(Protocol):
    """Something that can be started anew for each epoch."""

    def start(self, cores: Sequence[int]) -> Session:
        """cores: the CPUs that it may use, the same for both sides of a pair."""


@dataclass(frozen=True)
class Task:
    """A piece of work of a program.

    clock: 'cpu' for one thread, since time that other processes take does not count then;
    'real' for several. work: units per iteration (tokens, operations, bytes), or the name of the
    count that tells it; the sides of a pair are compared per unit."""

    program: Program
    name: str
    clock: Clock = "cpu"
    work: float | str = 1.0

    def seconds(self, measured: Slice) -> float:
        """Seconds per unit of work. Raises MeasureError."""
        work = measured.counts.get(self.work) if isinstance(self.work, str) else self.work
        if not work or not work > 0:
            raise MeasureError(f"{self.name}: no count {self.work!r} above 0 in {measured.counts}")
        return measured.seconds(self.clock) / work


@dataclass(frozen=True)
class BenchProgram:
    """A binary whose main is infeng::bench::Main (perf/bench)."""

    path: Path
    arguments: tuple[str, ...] = ()

    def start(self, cores: Sequence[int]) -> BenchSession:
        return BenchSession(self, cores)

    def describe(self) -> dict[str, Any]:
        """hardware, build and tier, as the binary tells them. Raises MeasureError."""
        session = self.start(())
        session.close()
        return session.description


class BenchSession:
    """A binary that waits for the next slice."""

    def __init__(self, program: BenchProgram, cores: Sequence[int]) -> None:
        self._name = program.path.name
        command = [str(program.path), "--slices", *program.arguments]

        def pin() -> None:
            if cores:
                os.sched_setaffinity(0, cores)
            # Others that take turns on the core would empty its caches. Needs the right to.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, 0, -20)

        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=pin,
            )
        except OSError as e:
            raise MeasureError(f"{program.path}: cannot start: {e.strerror}") from e
        self.description: dict[str, Any] = self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            assert self._process.stderr
            said = " ".join(self._process.stderr.read().split())
            raise MeasureError(
                f"{self._name} ended with {self._process.returncode}: {said or 'it said nothing'}"
            )
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise MeasureError(f"{self._name}: {reply['error']}")
        return reply

    def slice(self, name: str, iterations: int) -> Slice:
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{iterations} {name}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # _reply says why
        return Slice(**self._reply())

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout and self._process.stderr
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class PythonProgram:
    """Functions of this process: an engine, a tokenizer, another project's library.

    setup: called at the start of each epoch; gives the functions by name. A function does one
    iteration; what it returns, if a dict, is taken for counts. teardown: called at its end."""

    setup: Callable[[], Mapping[str, Callable[[], object]]]
    teardown: Callable[[], None] | None = None

    def start(self, cores: Sequence[int]) -> PythonSession:
        return PythonSession(self, cores)


class PythonSession:
    def __init__(self, program: PythonProgram, cores: Sequence[int]) -> None:
        self._before = os.sched_getaffinity(0)
        if cores:
            os.sched_setaffinity(0, cores)
        self._teardown = program.teardown
        self._functions = program.setup()

    def slice(self, name: str, iterations: int) -> Slice:
        function = self._functions.get(name)
        if function is None:
            raise MeasureError(f"no function is called {name}: {', '.join(self._functions)}")
        result: object = None
        real, cpu = time.perf_counter(), time.process_time()
        for _ in range(iterations):
            result = function()
        cpu, real = time.process_time() - cpu, time.perf_counter() - real
        return Slice(iterations, real, cpu, result if isinstance(result, dict) else {})

    def close(self) -> None:
        if self._teardown:
            self._teardown()
        os.sched_setaffinity(0, self._before)
