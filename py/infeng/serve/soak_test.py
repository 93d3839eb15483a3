"""A server at 120 % of what it can do, with everything going on at once.

Requests arrive whether or not earlier ones are done; an adapter is replaced every five seconds;
clients go away; nonsense is sent. INFENG_SOAK_SECONDS says for how long."""

import dataclasses
import json
import math
import os
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from infeng import LLM
from infeng.serve.testing import ServerProcess

SECONDS = float(os.environ.get("INFENG_SOAK_SECONDS", "60"))
ADAPTERS = Path("testdata/adapters").absolute()
BASE = "smollm2-135m-instruct"
PROMPTS = ["What is the sun?", "Name a colour.", "Why do we sleep?", "What is bread?"]
TOKENS = 16
RUNNING, QUEUE = 6, 6
OVERLOAD = 1.2


def body(model: str, prompt: str, stream: bool = False) -> dict[str, object]:
    messages = [{"role": "user", "content": prompt}]
    common = {"model": model, "messages": messages, "max_tokens": TOKENS, "temperature": 0}
    return common | {"stream": stream, "ignore_eos": True}


@dataclasses.dataclass
class Seen:
    """What has come of the requests."""

    latencies: list[float] = dataclasses.field(default_factory=list)
    refused: int = 0
    gone: int = 0
    malformed: int = 0
    reloads: int = 0
    sent: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


class Soak:
    def __init__(self, server: ServerProcess, right: dict[tuple[str, str], set[str]]) -> None:
        self.server = server
        self.right = right
        self.seen = Seen()

    def ask(self, model: str, prompt: str, stream: bool) -> None:
        started = time.monotonic()
        status, value, headers = self.server.request(
            "/v1/chat/completions", body(model, prompt, stream)
        )
        took = time.monotonic() - started
        with self.seen.lock:
            if status == 429:
                self.seen.refused += 1
                if not 1 <= int(headers["retry-after"]) <= 60:
                    self.seen.problems.append("429 without a sensible Retry-After")
                return
            if status != 200:
                self.seen.problems.append(f"{model}: {status} {value}")
                return
            if stream:
                chunks = [line[6:] for line in value.split("\n\n") if line]
                if chunks.pop() != "[DONE]":
                    self.seen.problems.append(f"{model}: the stream ends early")
                deltas = [json.loads(c)["choices"][0]["delta"] for c in chunks]
                text = "".join(d.get("content", "") for d in deltas)
            else:
                text = value["choices"][0]["message"]["content"]
            self.seen.latencies.append(took)
            if text not in self.right[model, prompt]:
                self.seen.problems.append(f"{model}, {prompt}: crossed or wrong: {text!r}")

    def go_away(self, model: str, prompt: str, after: float) -> None:
        connection = self.server.connect()
        data = json.dumps(body(model, prompt, stream=True)).encode()
        connection.request("POST", "/v1/chat/completions", data)
        time.sleep(after)
        assert connection.sock is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        with self.seen.lock:
            self.seen.gone += 1

    def send_nonsense(self, source: random.Random) -> None:
        good = json.dumps(body(BASE, PROMPTS[0])).encode()
        place = source.randrange(len(good))
        raw = source.choice([good[:place], source.randbytes(50), b"{}", b"[" * 9999])
        status = self.server.request("/v1/chat/completions", raw=raw)[0]
        with self.seen.lock:
            self.seen.malformed += 1
            if status != 400:
                self.seen.problems.append(f"{status} for {raw[:80]!r}")

    def reload(self, number: int) -> None:
        path = str(ADAPTERS / ("json", "upper")[number % 2])
        load = {"lora_name": "swap", "lora_path": path, "load_inplace": True}
        status, value, _ = self.server.request("/v1/load_lora_adapter", load)
        with self.seen.lock:
            self.seen.reloads += 1
            if status != 200:
                self.seen.problems.append(f"reload: {status} {value}")

    def run(self, seconds: float, rate: float, models: list[str]) -> list[int]:
        """Resident bytes, once a second, of the second half."""
        source = random.Random(5)
        begin = time.monotonic()
        due, second, reloads, sizes = begin, 0, 0, []
        with ThreadPoolExecutor(200) as pool:
            while (now := time.monotonic()) < begin + seconds:
                if now - begin >= second:
                    second += 1
                    if second > seconds / 2:
                        sizes.append(self.server.rss())
                    if second % 5 == 0:
                        reloads += 1
                        pool.submit(self.reload, reloads)
                if now < due:
                    time.sleep(min(0.05, due - now))
                    continue
                due += source.expovariate(rate)
                model, prompt = source.choice(models), source.choice(PROMPTS)
                what = source.random()
                self.seen.sent += 1
                if what < 0.05:
                    pool.submit(self.send_nonsense, random.Random(self.seen.sent))
                elif what < 0.15:
                    pool.submit(self.go_away, model, prompt, source.random() * 2)
                else:
                    pool.submit(self.ask, model, prompt, source.random() < 0.5)
        return sizes


def right_answers(names: dict[str, str | None]) -> dict[tuple[str, str], set[str]]:
    """What each model answers alone."""
    right = {}
    with LLM(adapters={n: ADAPTERS / n for n in ("json", "upper")}) as llm:
        for prompt in PROMPTS:
            alone = {
                adapter: llm.generate(
                    prompt, adapter=adapter, max_tokens=TOKENS, temperature=0.0, ignore_eos=True
                )[0].text
                for adapter in (None, "json", "upper")
            }
            assert len(set(alone.values())) == 3
            for name, adapter in names.items():
                right[name, prompt] = {alone[adapter]}
            right["swap", prompt] = {alone["json"], alone["upper"]}
    return right


def capacity(server: ServerProcess, models: list[str]) -> float:
    """Requests per second that it answers when it always has enough to do."""
    count, clients = 48, RUNNING
    todo = iter([(models[i % len(models)], PROMPTS[i % len(PROMPTS)]) for i in range(count)])
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                work = next(todo, None)
            if work is None:
                return
            assert server.request("/v1/chat/completions", body(*work))[0] == 200

    started = time.monotonic()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.monotonic() - started)


def test_soak(tmp_path: Path) -> None:
    # Copies under other names: same answers, adapters of their own.
    names: dict[str, str | None] = {BASE: None}
    for i in range(2):
        for adapter in ("json", "upper"):
            names[f"{adapter}{i}"] = adapter
            (tmp_path / f"{adapter}{i}").symlink_to(ADAPTERS / adapter)
    right = right_answers(names)
    with ServerProcess(
        "--adapters", f"{tmp_path}/*", "--max-running", RUNNING, "--max-queue", QUEUE,
        "--kv-memory", "48M",
    ) as server:  # fmt: skip
        soak = Soak(server, right)
        soak.reload(0)
        models = [*names, "swap"]
        full = capacity(server, models)
        sizes = soak.run(SECONDS, OVERLOAD * full / 0.85, models)
        seen = soak.seen
        assert not seen.problems, (len(seen.problems), seen.problems[:5])
        server.wait_until_idle()
        assert server.metric("infeng_kv_pages_used") == server.metric("infeng_kv_pages_cached")
        admitted = len(seen.latencies)
        p95 = float(np.percentile(seen.latencies, 95))
        # Medians: a reload has two contents in memory for a moment.
        middle = len(sizes) // 2
        before, after = float(np.median(sizes[:middle])), float(np.median(sizes[middle:]))
        growth = after / before - 1
        print(
            f"capacity {full:.2f} requests/s; sent {seen.sent} in {SECONDS:.0f} s: {admitted} "
            f"answered, {seen.refused} refused, {seen.gone} went away, {seen.malformed} malformed, "
            f"{seen.reloads} reloads; p95 {p95:.2f} s; RSS {after / 2**20:.0f} MiB, "
            f"{100 * growth:+.2f} % from the third quarter to the fourth"
        )
        # Nothing is lost: each request was answered, refused, left or malformed.
        assert admitted + seen.refused + seen.gone + seen.malformed == seen.sent
        assert seen.refused > 0 and seen.reloads >= math.floor(SECONDS / 5)
        # It works at its capacity while it is asked for more.
        assert admitted + seen.gone > 0.6 * full * SECONDS
        # Who is admitted waits for a full queue and a full batch at most, with room for noise.
        assert p95 < 4 * (QUEUE + RUNNING) / full
        assert growth < 0.02
        server.interrupt()
        assert server.wait() == 0
        assert not any("Traceback" in line for line in server.lines), server.lines
