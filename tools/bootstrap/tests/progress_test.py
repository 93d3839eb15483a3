"""How progress is shown, on a terminal and in a log."""

import io
import time

import progress
import pytest


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(progress, "TERMINAL_PERIOD", 0.01)
    monkeypatch.setattr(progress, "LOG_PERIOD", 0.01)


def test_terminal():
    out = Terminal()
    with progress.Progress("Fetching x", 4_000_000, out) as p:
        p.add(1_000_000)
        time.sleep(0.1)
        p.add(3_000_000)
    shown = out.getvalue().split("\r\x1b[K")
    assert "Fetching x: 1 of 4 MB (25 %)" in shown
    assert shown[-1].startswith("Fetching x: 4.0 MB in 0.")
    assert out.getvalue().count("\n") == 1  # one line, updated


def test_log():
    out = io.StringIO()
    with progress.Progress("Fetching x", 4_000_000, out) as p:
        p.add(2_000_000)
        time.sleep(0.1)
    lines = out.getvalue().splitlines()
    assert lines[0] == "Fetching x: 2 of 4 MB (50 %)"
    assert "\r" not in out.getvalue() and "\x1b" not in out.getvalue()


def test_error_leaves_a_clean_line_for_its_message():
    out = Terminal()
    with pytest.raises(OSError), progress.Progress("Fetching x", 4_000_000, out):
        time.sleep(0.05)
        raise OSError
    assert out.getvalue().endswith("\r\x1b[K")


def test_nothing_to_do():
    out = io.StringIO()
    with progress.Progress("Fetching x", 0, out):
        time.sleep(0.05)
    assert "100 %" in out.getvalue()
