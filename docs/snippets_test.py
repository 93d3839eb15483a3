"""What pages tell to type is typed: Python everywhere, and the blocks of quickstart.md that are
fenced as bash, in order."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import Block, pages_of

ROOT = Path.cwd()  # of the run files
PAGES = pages_of(ROOT)
QUICKSTART = "docs/quickstart.md"
# What a page's reader has at hand.
GIVEN = {"docs/tokenizer.md": 'texts = ["Hello", "the theatre in the rain"]\n'}


def is_python(block: Block) -> bool:
    """Whether it is a program: what does not begin with an import is a piece of one."""
    if block.language == "python":
        return True
    return not block.language and re.match(r"(from|import) \w", block.text) is not None


PYTHON = [b for p in PAGES for b in p.blocks if is_python(b) and b.page != QUICKSTART]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader is: beside testdata, with a tokenizer.json."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "testdata").symlink_to(ROOT / "testdata")
    (folder / "tokenizer.json").symlink_to((ROOT / os.environ["TOKENIZER"]).resolve())
    program = folder / "bin" / "infeng"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m infeng "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYTHONUNBUFFERED": "1",
    }


def run(command: list[str], folder: Path, environment: dict[str, str], where: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", PYTHON, ids=lambda b: b.where)
def test_python(block: Block, folder: Path, environment: dict[str, str]) -> None:
    program = GIVEN.get(block.page, "") + block.text
    run([sys.executable, "-c", program], folder, environment, block.where)


def test_there_are_programs() -> None:
    assert {b.page for b in PYTHON} >= {"README.md", "docs/gates.md", "docs/tokenizer.md"}


@pytest.fixture
def port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.fixture
def background() -> Iterator[list[subprocess.Popen[str]]]:
    """Programs that are stopped at the end with Ctrl-C, as their reader does."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_quickstart(
    folder: Path,
    environment: dict[str, str],
    port: str,
    background: list[subprocess.Popen[str]],
) -> None:
    (page,) = (p for p in PAGES if p.path == QUICKSTART)
    told: dict[str, str] = {}
    for block in page.blocks:
        text = block.text.replace("8000", port)
        if block.language == "bash" and text.startswith("infeng serve"):
            assert port in text
            process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"], cwd=folder, env=environment, text=True,
                stderr=subprocess.PIPE,
            )  # fmt: skip
            background.append(process)
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any("listening at" in line for line in lines)
        elif block.language == "bash":
            told[block.where] = run(
                ["bash", "-euo", "pipefail", "-c", text], folder, environment, block.where
            )
        elif block.language == "python":
            told[block.where] = run([sys.executable, "-c", text], folder, environment, block.where)
    # Three blocks of commands, of which one serves, and two programs.
    assert len(told) == 4 and len(background) == 1
    assert all(told.values())
