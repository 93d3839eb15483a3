"""The finder of host paths finds them, and only them."""

import actions
import pytest


@pytest.mark.parametrize(
    "argument",
    [
        "/usr/bin/gcc",
        "-I/usr/include",
        "-isystem/usr/include",
        "--sysroot=/opt/sysroot",
        "-Wl,-rpath,/home/me/lib",
        "cd x && /usr/local/bin/python3 y",
        "-L/usr/lib",
        "PATH=/home/me/bin:/usr/bin",
    ],
)
def test_host_paths_are_found(argument: str) -> None:
    assert list(actions.host_paths(argument))


@pytest.mark.parametrize(
    "argument",
    [
        "external/llvm/tools/clang",
        "-Iexternal/x/include",
        "bazel-out/k8-opt/bin/a.o",
        "/bin/bash",
        "/dev/null",
        "/bin:/usr/bin:/usr/local/bin",
        "//cc/base:status",
        "@llvm//:cc",
        "a/b/c",
        "-DX=a/b",
    ],
)
def test_others_are_not(argument: str) -> None:
    assert not list(actions.host_paths(argument))


def test_findings_name_the_action() -> None:
    graph = {
        "targets": [{"id": 1, "label": "//a:b"}],
        "actions": [
            {
                "mnemonic": "CppCompile",
                "targetId": 1,
                "arguments": ["/usr/bin/gcc", "-c"],
                "environmentVariables": [{"key": "HOME", "value": "/home/me"}],
            },
            {"mnemonic": "FileWrite", "targetId": 1, "arguments": ["/usr/bin/x"]},
        ],
    }
    assert list(actions.findings(graph)) == [
        "CppCompile of //a:b: argument names /usr/bin/gcc",
        "CppCompile of //a:b: HOME names /home/me",
    ]
