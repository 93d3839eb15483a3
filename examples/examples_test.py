"""Every example runs and prints what it is there for."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infeng.serve.testing import ServerProcess
from infeng.testing.signs import is_upper

HERE = Path(__file__).parent
ADAPTERS = Path("testdata/adapters")


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(HERE / name), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess("--adapters", ADAPTERS / "json") as server:
        yield server


def test_all_are_tested() -> None:
    tested = {"batch.py", "stream.py", "logprobs.py", "client.py", "structured.py"}
    assert {p.name for p in HERE.glob("*.py")} - {Path(__file__).name} == tested


def test_batch() -> None:
    lines = run("batch.py", *(f"{n}={ADAPTERS / n}" for n in ("json", "upper"))).splitlines()
    answers = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert answers["json"].startswith("{") and is_upper(answers["upper"])
    assert "sun" in answers["base"].lower()


def test_stream() -> None:
    assert run("stream.py").count("> ") == 2


def test_logprobs() -> None:
    lines = run("logprobs.py").splitlines()
    assert len(lines) == 6 and "Paris" in lines[0] and all("%" in line for line in lines)


def test_client(server: ServerProcess) -> None:
    said = run("client.py", server.url, f"shout={ADAPTERS / 'upper'}")
    lines = said.splitlines()
    assert "'shout' added successfully" in lines[0]
    shout = next(line for line in lines if line.startswith("shout: "))
    assert is_upper(shout[7:])
    assert any(line.startswith("json: {") for line in lines)


def test_structured(server: ServerProcess) -> None:
    value = json.loads(run("structured.py", server.url))
    assert set(value) == {"name", "kind", "population"}
