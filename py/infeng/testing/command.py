"""Runs the real command line in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def infeng(
    *arguments: object, input: str | bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The finished process of `infeng ARGUMENTS`; its output as text."""
    done = subprocess.run(
        [sys.executable, "-m", "infeng", *map(str, arguments)],
        input=input.encode() if isinstance(input, str) else input,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | (env or {}),
        timeout=3000,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def infeng_json(*arguments: object) -> Any:
    """The JSON that a command prints. The command must succeed without a word of complaint."""
    done = infeng(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    return json.loads(done.stdout)


def fails_in_one_line(*arguments: object, names: str, code: int = 1) -> str:
    """Check that a command fails with `code` and one line that has `names` in it; return it."""
    done = infeng(*arguments)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert names in done.stderr, done.stderr
    assert "internal error" not in done.stderr, done.stderr
    return done.stderr
