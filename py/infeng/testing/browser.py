"""A headless Chromium, driven over its debugging pipe."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any


def program() -> tuple[str, dict[str, str]]:
    """The pinned browser, which a test's BUILD file names in CHROMIUM, and its environment."""
    # Up from the link among the run files, not from what it points to.
    named = Path(os.path.abspath(os.environ["CHROMIUM"]))
    root = named.parents[3]
    libraries = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio")
    folders = (*libraries, "lib/x86_64-linux-gnu")
    return os.path.realpath(named), {
        "LD_LIBRARY_PATH": ":".join(str(root / folder) for folder in folders),
        "FONTCONFIG_PATH": str(root / "etc/fonts"),
        "FONTCONFIG_SYSROOT": str(root),
    }


class Browser:
    """One page. A context manager.

    errors: what went wrong in it: uncaught exceptions, console.error, failed resources."""

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        self.errors: list[str] = []
        self._ids = itertools.count(1)
        self._profile = tempfile.TemporaryDirectory(prefix="browser", ignore_cleanup_errors=True)
        # The browser reads commands from its descriptor 3 and writes to its 4.
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        browser, environment = program()
        launcher = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
        self._process = subprocess.Popen(
            [
                "/bin/bash", "-c", launcher, str(read), str(write), browser,
                "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--remote-debugging-pipe", "--hide-scrollbars",
                f"--window-size={width},{height}", f"--user-data-dir={self._profile.name}",
                "about:blank",
            ],
            env=environment | {"HOME": self._profile.name},
            pass_fds=(read, write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._buffer = b""
        self._session: str | None = None
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        attached = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, url: str) -> None:
        self._call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The JSON value of an expression in the page; promises are awaited."""
        reply = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 60) -> Any:
        """Until an expression is true; its value."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.02)
        return value

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._next()
            if reply.get("id") == number:
                assert "error" not in reply, reply["error"]
                return reply["result"]
            self._note(reply)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], 60)
            piece = os.read(self._read, 1 << 20) if ready else b""
            assert piece, f"the browser is silent; its exit code: {self._process.poll()}"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", str(details)))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning"):
                self.errors.append(str([a.get("value") for a in parameters["args"]]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"])
            case _:
                pass

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._write)  # it ends when its pipe does
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        self._profile.cleanup()
