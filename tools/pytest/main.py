"""The main program of pytest_test: pytest over the files given as arguments."""

import os
import sys

import pytest


def main(arguments: list[str]) -> int:
    """Runs pytest; its XML goes where Bazel looks for a test's result.

    Bazel's own shards split the collected tests round robin."""
    options = ["-p", "no:cacheprovider", "-ra", "--import-mode=importlib"]
    xml = os.environ.get("XML_OUTPUT_FILE")
    if xml:
        options.append(f"--junitxml={xml}")
    selection = os.environ.get("TESTBRIDGE_TEST_ONLY")
    if selection:
        options += ["-k", selection]
    return pytest.main(options + arguments, plugins=[Shards()])


class Shards:
    """TEST_SHARD_INDEX of TEST_TOTAL_SHARDS, as Bazel's test encyclopedia has it."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        total = int(os.environ.get("TEST_TOTAL_SHARDS", "1"))
        index = int(os.environ.get("TEST_SHARD_INDEX", "0"))
        status = os.environ.get("TEST_SHARD_STATUS_FILE")
        if status:
            open(status, "w").close()
        items[:] = items[index::total]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
