"""A server in a process of its own, for tests."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any


class ServerProcess:
    """`infeng serve` at a free port. A context manager; kills it at the end if need be.

    program: a module and its first arguments, in place of it."""

    def __init__(
        self,
        *arguments: object,
        env: dict[str, str] | None = None,
        program: Sequence[str] = ("infeng", "serve"),
    ) -> None:
        command = [sys.executable, "-m", *program, "--port", "0", *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | (env or {})
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.lines: list[str] = []
        self._listening = threading.Event()
        self.port = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._listening.wait(300)
        if not self.port:
            self.process.kill()
            raise AssertionError(f"it does not listen: {self.lines}")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"listening at http://\S+:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                self._listening.set()
        self._listening.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def request(
        self,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON (or text) and headers. GET without a body."""
        connection = self.connect()
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        try:
            connection.request("GET" if data is None else "POST", path, data, headers or {})
            response = connection.getresponse()
            text = response.read().decode()
            got = {k.lower(): v for k, v in response.getheaders()}
        finally:
            connection.close()
        value = (
            json.loads(text) if got.get("content-type", "").startswith("application/json") else text
        )
        return response.status, value, got

    def metric(self, name: str) -> float:
        """The value of a metric; the sum, if it has labels."""
        text = self.request("/metrics")[1]
        found = re.findall(rf"^{name}(?:_total)?(?:\{{.*\}})? (\S+)$", text, re.M)
        assert found, f"no metric {name}"
        return sum(map(float, found))

    def wait_until_idle(self, seconds: float = 30) -> None:
        """Until nothing runs and nothing waits."""
        end = time.monotonic() + seconds
        while self.metric("infeng_requests_running") or self.metric("infeng_requests_waiting"):
            assert time.monotonic() < end, "it does not become idle"
            time.sleep(0.05)

    def rss(self) -> int:
        """Resident bytes."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def wait(self, seconds: float = 60) -> int:
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if error is not None:
            print("".join(self.lines[-40:]), file=sys.stderr)
