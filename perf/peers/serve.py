"""infeng's server beside llama.cpp's: eight streams, each with an adapter of its own, and none.

    tools/bazel run //perf/peers:serve -- [--rounds=3] [--requests=32] [--threads=1] [--out=reports]

Both serve the default model's weights (int8 here, Q8_0 there) and take turns, a round at a time. Eight clients
send a prompt over HTTP and ask again as soon as they have all of the answer; each client has its adapter. Writes
serve_peers.csv and prints tokens per second and the 95th percentile of the time that an answer takes."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infeng import models
from infeng.cli.console import print_table
from infeng.errors import InfengError, one_line
from infeng.serve.testing import ServerProcess
from perf.peers import adapters, llama_cpp
from perf.peers.rows import write

STREAMS, TOKENS = 8, 64
LOADS = ("base", "mixed")
_PROMPT = "Question {}: what is the sun, and why does it shine? Answer:"
_ADAPTERS = ("json", "upper")

Ask = Callable[[int, bool, str], int]  # client, with its adapter, prompt: new tokens


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--requests", type=int, default=32, metavar="N", help="per load and round")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("reports"), metavar="FOLDER")
    args = parser.parse_args()
    source = Path("testdata/adapters").absolute()
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = compare(args, make_adapters(source, Path(folder)))
        columns = ("server", "load", "round", "tokens_per_s", "p95_s")
        write(args.out / "serve_peers.csv", columns, rows)
    except InfengError as e:
        print(f"serve: {one_line(e)}", file=sys.stderr)
        return 1
    print_table(("load", "infeng", "llama.cpp", "ratio", "p95 s", "p95 s there"), summary(rows))
    return 0


def make_adapters(source: Path, folder: Path) -> list[tuple[Path, Path]]:
    """PEFT folder and GGUF file of each stream. They differ in their scale, so none is shared."""
    base = models.base_of(None)
    made = []
    for i in range(STREAMS):
        old = source / _ADAPTERS[i % len(_ADAPTERS)]
        new = folder / f"adapter{i}"
        new.mkdir()
        config = json.loads((old / "adapter_config.json").read_text())
        config["lora_alpha"] *= 1 + i / 100
        (new / "adapter_config.json").write_text(json.dumps(config))
        weights = "adapter_model.safetensors"
        (new / weights).symlink_to((old / weights).resolve())
        adapters.write(new, base, folder / f"adapter{i}.gguf")
        made.append((new, folder / f"adapter{i}.gguf"))
    return made


def compare(args: argparse.Namespace, made: list[tuple[Path, Path]]) -> list[tuple[Any, ...]]:
    """Rows of the CSV file. Raises InfengError."""
    pattern = str(made[0][0].parent / "adapter[0-9]")
    gguf = llama_cpp.quantised(models.default_gguf(), "Q8_0")
    cores = sorted(os.sched_getaffinity(0))[-args.threads :]
    rows: list[tuple[Any, ...]] = []
    with (
        ServerProcess("--adapters", pattern, "--threads", args.threads) as ours,
        LlamaServer(gguf, [g for _, g in made], args.threads) as theirs,
    ):
        for pid in (ours.process.pid, theirs.process.pid):
            _pin(pid, cores)
        base = ours.request("/v1/models")[1]["data"][0]["id"]

        def ask_ours(client: int, adapted: bool, prompt: str) -> int:
            body = {"model": f"adapter{client}" if adapted else base, "prompt": prompt}
            body |= {"max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
            status, answer, _ = ours.request("/v1/completions", body)
            if status != 200:
                raise InfengError(f"infeng: {status} {answer}")
            return int(answer["usage"]["completion_tokens"])

        for number in range(args.rounds + 1):
            for name, ask in (("infeng", ask_ours), ("llama.cpp", theirs.ask)):
                for load in LOADS:
                    print(f"round {number} of {args.rounds}: {name}, {load}", file=sys.stderr)
                    requests = args.requests if number else STREAMS  # round 0 only warms
                    rate, p95 = _load(ask, load == "mixed", requests, number)
                    if number:
                        rows.append((name, load, number, f"{rate:.2f}", f"{p95:.3f}"))
    return rows


class LlamaServer:
    """llama-server with a slot a stream. A context manager. Raises InfengError."""

    def __init__(self, model: Path, files: list[Path], threads: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        command = [str(llama_cpp.tool("llama-server")), "-m", str(model), "--no-webui"]
        command += ["-t", str(threads), "-tb", str(threads), "-np", str(STREAMS)]
        command += ["-c", str(1024 * STREAMS), "--port", str(self._port)]
        command += ["--lora-init-without-apply"]
        for file in files:
            command += ["--lora", str(file)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 120
        while not self._healthy():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise InfengError(f"llama-server does not start: {' '.join(command)}")
            time.sleep(0.2)

    def _healthy(self) -> bool:
        try:
            return self._request("GET", "/health")[0] == 200
        except OSError:
            return False

    def _request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def ask(self, client: int, adapted: bool, prompt: str) -> int:
        """New tokens of an answer. Raises InfengError."""
        scales = [{"id": i, "scale": float(adapted and i == client)} for i in range(STREAMS)]
        body = {"prompt": prompt, "n_predict": TOKENS, "temperature": 0, "ignore_eos": True}
        status, answer = self._request("POST", "/completion", body | {"lora": scales})
        if status != 200:
            raise InfengError(f"llama-server: {status} {answer}")
        return int(answer["tokens_predicted"])

    def __enter__(self) -> LlamaServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def _pin(pid: int, cores: list[int]) -> None:
    """All threads of a process. Cores that a server has and the other has not would decide."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def _load(ask: Ask, adapted: bool, requests: int, number: int) -> tuple[float, float]:
    """Tokens per second, and the 95th percentile of seconds per answer."""

    def client(which: int) -> list[tuple[int, float]]:
        done = []
        for i in range(which, requests, STREAMS):
            started = time.perf_counter()
            new = ask(which, adapted, _PROMPT.format(f"{number}.{i}"))
            done.append((new, time.perf_counter() - started))
        return done

    started = time.perf_counter()
    with ThreadPoolExecutor(STREAMS) as pool:
        done = [d for answers in pool.map(client, range(STREAMS)) for d in answers]
    seconds = time.perf_counter() - started
    took = sorted(s for _, s in done)
    return sum(n for n, _ in done) / seconds, took[int(0.95 * (len(took) - 1))]


def summary(rows: list[tuple[Any, ...]]) -> list[list[str]]:
    """Medians by load, with the ratio of each round's rates, and what mixing costs each."""

    def of(server: str, load: str, column: int) -> list[float]:
        return [float(r[column]) for r in rows if r[0] == server and r[1] == load]

    table = []
    for load in LOADS:
        ours, theirs = of("infeng", load, 3), of("llama.cpp", load, 3)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        table.append([
            load,
            f"{statistics.median(ours):.1f} tokens/s",
            f"{statistics.median(theirs):.1f} tokens/s",
            f"{ratio:.2f}x",
            *(f"{statistics.median(of(s, load, 4)):.2f}" for s in ("infeng", "llama.cpp")),
        ])  # fmt: skip
    shares = [
        statistics.median(m / b for m, b in zip(of(s, "mixed", 3), of(s, "base", 3), strict=True))
        for s in ("infeng", "llama.cpp")
    ]
    return [*table, ["mixed / base", *(f"{s:.2f}" for s in shares), "", "", ""]]


if __name__ == "__main__":
    sys.exit(main())
