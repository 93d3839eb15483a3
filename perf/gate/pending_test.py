"""A check whose gate does not exist yet: says so, visibly, and passes."""

import os

import pytest


def test_pending() -> None:
    pytest.skip(f"{os.environ['GATE']}: no gate yet: its sweep is not in perf/sweeps")
