"""The tests' fixtures; also lets them import the modules under test."""

import os
import shutil
import sys
import tempfile

import pytest

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [TESTS, os.path.dirname(TESTS)]
import support  # noqa: E402


@pytest.fixture
def folder():
    """A new folder outside /tmp, where the cache is allowed to be."""
    base = os.environ.get("TEST_TMPDIR") or "/var/tmp"
    path = os.path.realpath(tempfile.mkdtemp(dir=base))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def mirror():
    server = support.Mirror()
    yield server
    server.close()


@pytest.fixture
def workspace(folder, mirror):
    return support.Workspace(folder, mirror)
