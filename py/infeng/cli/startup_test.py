"""What a command does not need it does not wait for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# The engine's, the web's, the terminal's.
_HEAVY = ("numpy", "infeng.native", "jinja2", "starlette", "uvicorn", "pydantic", "rich", "gguf")


_PROGRAM = """
import contextlib, os, sys
from infeng.cli.main import main
with contextlib.suppress(SystemExit), open(os.devnull, "w") as sys.stdout:
    main(sys.argv[1:])
sys.stdout = sys.__stdout__
print(*sys.modules)
"""


def imported(*arguments: str) -> set[str]:
    """Modules that `infeng ARGUMENTS` imports."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("arguments", [("--version",), ("--help",)])
def test_nothing_heavy_to_begin_with(arguments: tuple[str, ...]) -> None:
    modules = imported(*arguments)
    assert "infeng.cli.main" in modules
    assert not modules & set(_HEAVY)


@pytest.mark.parametrize(
    "command", ["run", "convert", "inspect", "perplexity", "bench", "tokenize", "report", "doctor"]
)
def test_no_command_waits_for_the_web_or_the_terminal(command: str) -> None:
    modules = imported(command, "--help")
    assert f"infeng.cli.commands.{command}" in modules
    assert not modules & {"starlette", "uvicorn", "pydantic", "rich", "prometheus_client", "gguf"}


def test_the_report_does_without_the_engine() -> None:
    assert "infeng.native" not in imported("report", "--help")
