"""Nothing of the host is in an action, in what it sees, or in what it makes."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import actions
import nested
import pytest

COMMON = ("--color=no", "--curses=no", "--noshow_progress")


@pytest.fixture(scope="module")
def workspace() -> Iterator[nested.Workspace]:
    # In Bazel's own test folder: the system's temporary folder is empty for sandboxed actions.
    made = nested.Workspace(Path(tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])))
    yield made
    made.close()


def test_no_action_names_a_host_path(workspace: nested.Workspace) -> None:
    answer = workspace.bazel(
        "aquery", *COMMON, "--output=jsonproto", "--include_artifacts=false", "//fixture:all"
    )
    graph = json.loads(answer.stdout)
    mnemonics = {a["mnemonic"] for a in graph["actions"]}
    assert {"CppCompile", "CppLink", "Rustc", "Genrule"} <= mnemonics
    assert list(actions.findings(graph)) == []


def test_actions_see_no_host_compiler(workspace: nested.Workspace) -> None:
    workspace.bazel("build", *COMMON, "//fixture:view")
    assert (workspace.folder / "bazel-bin/fixture/view.txt").read_text() == ""


def test_sandbox_is_on(workspace: nested.Workspace) -> None:
    """The view above says something only if the sandbox is there to hide things."""
    runners = workspace.runners("build", *COMMON, "//fixture:sum_test")
    assert runners.get("linux-sandbox", 0) > 0, runners
    assert not {"local", "worker"} & set(runners), runners


def test_outputs_name_no_host_path(workspace: nested.Workspace) -> None:
    workspace.bazel("build", *COMMON, "//fixture:all")
    data = (workspace.folder / "bazel-bin/fixture/sum_test").read_bytes()
    for path in (str(workspace.folder), os.path.realpath(workspace.folder), "/usr/include"):
        assert path.encode() not in data


def test_tests_of_each_language_pass(workspace: nested.Workspace) -> None:
    workspace.bazel("test", *COMMON, "//fixture:all")
