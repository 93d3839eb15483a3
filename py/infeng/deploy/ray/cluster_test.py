"""A Ray cluster of this machine with two replicas of a small model, one of which is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infeng import LLM
from infeng.convert import Recipe, convert
from infeng.deploy.ray.catalogue import Catalogue, merge
from infeng.serve.testing import ServerProcess
from infeng.testing import small_model as small
from infeng.testing.small_adapter import write_adapter

CLIENTS, REQUESTS, TOKENS = 6, 160, 400
NAMES = ["small", "a0", "a1", "a2", "a3"]
FRESH = ["b0", "b1"]  # that only one test asks
MARK = uuid.uuid4().hex  # in the environment of every process of our cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    source = small.write_huggingface(
        folder / "hf", small.random_weights(), max_position_embeddings=4000
    )
    convert(source, folder / "small.infq", Recipe())
    (folder / "adapters").mkdir()
    for i in range(4):
        write_adapter(folder / "adapters" / f"a{i}", lora_alpha=8 + 4 * i)
    for name in FRESH:
        write_adapter(folder / "adapters" / name)
    write_adapter(folder / "late", lora_alpha=40)
    return folder


@pytest.fixture(scope="module")
def right(folder: Path) -> dict[str, str]:
    """What each model answers alone."""
    paths = {n: folder / "adapters" / n for n in NAMES[1:]} | {"late": folder / "late"}
    with LLM(folder / "small.infq", adapters=paths) as llm:
        found = {
            name: llm.generate(
                "Hello", adapter=None if name == "small" else name, max_tokens=TOKENS,
                temperature=0.0, ignore_eos=True,
            )[0].text
            for name in [*NAMES, "late"]
        }  # fmt: skip
    assert len(set(found.values())) == len(found)
    return found


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[ServerProcess]:
    # Names of sockets are at most 107 bytes long: not under the test's own folder.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as temp:
        with ServerProcess(
            "--model", folder / "small.infq", "--adapters", folder / "adapters" / "*",
            "--replicas", 2, "--ingress", 1,
            program=["infeng.deploy.ray"], env={"RAY_TMPDIR": temp, "INFENG_TEST_MARK": MARK},
        ) as server:  # fmt: skip
            yield server
            server.interrupt()
            assert server.wait() == 0
        end = time.monotonic() + 20
        while ours() and time.monotonic() < end:
            time.sleep(0.2)
        assert ours() == {}, "it leaves processes behind"


def ours() -> dict[int, str]:
    """Processes of the cluster: their titles."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if MARK.encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
        except OSError:
            continue
    return found


def replicas(server: ServerProcess) -> dict[str, Counter[str]]:
    """Answers that each replica has ended, by model."""
    status, text, _ = server.request("/metrics")
    assert status == 200
    found: dict[str, Counter[str]] = {}
    for name in re.findall(r'^infeng_steps_total\{replica="([^"]+)"\}', text, re.M):
        found[name] = Counter()
    for labels, value in re.findall(r"^infeng_requests_total\{([^}]*)\} (\S+)$", text, re.M):
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[pairs["replica"]][pairs["model"]] += int(float(value))
    return found


def busy(server: ServerProcess) -> int:
    """The process of a replica that has two requests or more under way."""
    while True:
        text = server.request("/metrics")[1]
        running = re.findall(r'^infeng_requests_running\{replica="(.*)"\} (\S+)$', text, re.M)
        for name, count in running:
            if float(count) >= 2:
                found = re.search(rf'^infeng_replica\{{.*pid="(\d+)",replica="{name}"', text, re.M)
                assert found, text
                return int(found[1])


def wait_for_two(server: ServerProcess) -> None:
    end = time.monotonic() + 90
    while len(replicas(server)) < 2:
        assert time.monotonic() < end, "the lost replica is not replaced"
        time.sleep(0.5)


def body(model: str, tokens: int = TOKENS, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Hello"}]
    return {
        "model": model, "messages": messages, "max_tokens": tokens, "temperature": 0,
        "ignore_eos": True, **more,
    }  # fmt: skip


def streamed(text: str) -> tuple[str, str | None]:
    """The text of a stream and the code of the error in it."""
    lines = [json.loads(x[6:]) for x in text.split("\n\n") if x and x != "data: [DONE]"]
    errors = [line["error"]["code"] for line in lines if "error" in line]
    chunks = [line for line in lines if line.get("choices")]
    said = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)
    return said, errors[0] if errors else None


def test_the_same_routes(cluster: ServerProcess, right: dict[str, str]) -> None:
    status, answer, _ = cluster.request("/v1/models")
    assert status == 200 and [m["id"] for m in answer["data"]] == [*NAMES, *FRESH]
    for name in NAMES:
        status, answer, _ = cluster.request("/v1/chat/completions", body(name))
        assert status == 200 and answer["choices"][0]["message"]["content"] == right[name]
        status, text, headers = cluster.request("/v1/chat/completions", body(name, stream=True))
        assert status == 200 and headers["content-type"].startswith("text/event-stream")
        assert streamed(text) == (right[name], None) and text.endswith("data: [DONE]\n\n")
    assert cluster.request("/health")[0] == 200
    assert "<title>infeng</title>" in cluster.request("/")[1]
    assert cluster.request("/tokenize", {"prompt": "in the"})[1]["count"] > 0


def test_errors_are_the_servers(cluster: ServerProcess) -> None:
    for wrong, code, param in (
        (body("none"), 404, "model"),
        (body("small") | {"temperature": 9}, 400, "temperature"),
        (body("small") | {"model": 3}, 400, "model"),
    ):
        status, answer, _ = cluster.request("/v1/chat/completions", wrong)
        assert status == code and answer["error"]["param"] == param
    assert cluster.request("/v1/chat/completions", raw=b"{")[0] == 400
    assert cluster.request("/none")[0] == 404


def test_an_adapters_requests_stay_together(cluster: ServerProcess) -> None:
    before = replicas(cluster)
    for i in range(20):
        if i == 2:
            time.sleep(1)  # until the router knows who has which
        assert cluster.request("/v1/chat/completions", body(FRESH[i % 2], 4))[0] == 200
    used = {r: found - before[r] for r, found in replicas(cluster).items()}
    for name in FRESH:
        shares = sorted(counts[name] for counts in used.values())
        # One may go elsewhere when the replica is slow to say how much it has to do.
        assert sum(shares) == 10 and shares[0] <= 1, used


def test_a_replica_is_killed_under_load(
    cluster: ServerProcess, right: dict[str, str], folder: Path
) -> None:
    """Requests in flight on it get 503 with Retry-After, or an error in their stream, and nothing
    else is lost. What it is replaced by has the adapters that were loaded since."""
    load = {"lora_name": "late", "lora_path": str(folder / "late")}
    status, answer, _ = cluster.request("/v1/load_lora_adapter", load)
    assert status == 200, answer
    status, answer, _ = cluster.request("/v1/load_lora_adapter", load)
    assert status == 400 and "already been loaded" in answer["error"]["message"]
    names = [*NAMES, "late"]
    listed = [*NAMES, *FRESH, "late"]
    todo = iter(range(REQUESTS))
    lock = threading.Lock()
    seen: Counter[str] = Counter()
    problems: list[Any] = []

    def ask(model: str, stream: bool) -> str:
        status, answer, headers = cluster.request(
            "/v1/chat/completions", body(model, stream=stream)
        )
        if status == 200 and not stream:
            good = answer["choices"][0]["message"]["content"] == right[model]
            return "answered" if good else f"crossed: {model}"
        if status == 200:
            text, error = streamed(answer)
            if error == "replica_lost" and right[model].startswith(text):
                return "cut"
            return "answered" if error is None and text == right[model] else f"crossed: {model}"
        lost = status == 503 and answer["error"]["code"] == "replica_lost"
        return "refused" if lost and int(headers["retry-after"]) >= 1 else f"{status}: {answer}"

    def client() -> None:
        while True:
            with lock:
                i = next(todo, None)
            if i is None:
                return
            model, stream = names[i % len(names)], i % 2 == 1
            try:
                what = ask(model, stream)
                if what in ("refused", "cut"):
                    # What Retry-After says is true.
                    time.sleep(1)
                    again = ask(model, stream)
                    what = what if again == "answered" else f"again: {again}"
            except Exception as e:
                what = repr(e)
            with lock:
                seen[what] += 1
                if what not in ("answered", "refused", "cut"):
                    problems.append(what)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while sum(seen.values()) < REQUESTS // 4:
        time.sleep(0.01)
    os.kill(busy(cluster), signal.SIGKILL)
    for thread in threads:
        thread.join()
    print(dict(seen))
    assert problems == []
    assert sum(seen.values()) == REQUESTS
    # Those in flight on it, and of them there are no more than clients.
    assert 1 <= seen["refused"] + seen["cut"] <= CLIENTS
    wait_for_two(cluster)
    for _ in range(8):
        status, answer, _ = cluster.request("/v1/models")
        assert status == 200 and [m["id"] for m in answer["data"]] == listed


def test_adapters_change_everywhere(cluster: ServerProcess, folder: Path) -> None:
    wait_for_two(cluster)
    missing = {"lora_name": "missing", "lora_path": "/none"}
    status, answer, _ = cluster.request("/v1/load_lora_adapter", missing)
    assert status == 400 and "/none" in answer["error"]["message"]
    assert cluster.request("/v1/unload_lora_adapter", {"lora_name": "late"})[0] == 200
    assert cluster.request("/v1/unload_lora_adapter", {"lora_name": "late"})[0] == 404
    for _ in range(8):
        assert cluster.request("/v1/chat/completions", body("late", 2))[0] == 404


def test_a_client_that_goes_away_frees_its_place(cluster: ServerProcess) -> None:
    connection = cluster.connect()
    data = json.dumps(body("a0", 3000, stream=True))
    connection.request("POST", "/v1/chat/completions", data, {"Content-Type": "application/json"})
    assert connection.getresponse().read(10)
    connection.close()
    end = time.monotonic() + 20
    while True:
        text = cluster.request("/metrics")[1]
        running = re.findall(r"^infeng_requests_running\{[^}]*\} (\S+)$", text, re.M)
        if len(running) == 2 and set(running) == {"0.0"}:
            break
        assert time.monotonic() < end, running
        time.sleep(0.1)
    assert 'reason="cancelled"' in text


def test_the_later_change_wins() -> None:
    catalogue = Catalogue()
    assert catalogue.merge({"a": (2, "/new"), "b": (1, "/b")}) == {"a": (2, "/new"), "b": (1, "/b")}
    assert catalogue.merge({"a": (1, "/old"), "b": (3, None)}) == {"a": (2, "/new"), "b": (3, None)}
    assert merge({}, {}) == {}
