"""The formatters and checkers, and the files each of them is for."""

import os
import subprocess
import sys
from collections.abc import Sequence

# Written by programs, or nothing to format.
_GENERATED = ("rust/tokenizer/src/pretok/unicode_tables.rs",)

# Endings of the names of files in Bazel's language; MODULE.bazel files are among them.
BAZEL = (".bazel", ".bzl", ".BUILD", "/BUILD")


def workspace() -> str:
    """The folder of the checkout, as `bazel run` tells it."""
    folder = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if not folder:
        sys.exit("run this as: tools/bazel run //:format (or //:lint)")
    return folder


def tracked(*endings: str) -> list[str]:
    """Files that git tracks, or would, with one of the endings, sorted."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=workspace(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return sorted(
        f
        for f in set(listing.splitlines())
        if f.endswith(endings) and f not in _GENERATED and os.path.isfile(f"{workspace()}/{f}")
    )


def _external(repository: str, path: str) -> str:
    """A file of another repository among our runfiles."""
    # RUNFILES/_main/tools/lint/checkers.py
    runfiles = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    for folder in sorted(os.listdir(runfiles)):
        if folder.split("~")[-1].split("+")[-1] == repository:
            found = os.path.join(runfiles, folder, path)
            if os.path.exists(found):
                return os.path.abspath(found)
    sys.exit(f"{path} of repository {repository} is not among the runfiles in {runfiles}")


def clang_format(check: bool) -> list[str]:
    """The command for C++ files."""
    options = ["--dry-run", "--Werror"] if check else ["-i"]
    return [_external("llvm", "tools/clang-format"), "--style=file", *options]


def rustfmt(check: bool) -> list[str]:
    """The command for Rust files."""
    return [_external("rust", "tools/rustfmt"), "--edition=2021", *(["--check"] if check else [])]


def buildifier(check: bool) -> list[str]:
    """The command for Bazel's files. What it warns of, it mends where it can."""
    options = ["-mode=check", "-lint=warn"] if check else ["-mode=fix", "-lint=fix"]
    return [_external("buildifier", "buildifier"), *options]


def ruff(*arguments: str) -> list[str]:
    """The command for Python files."""
    return [_external("pypi_ruff", "site/bin/ruff"), *arguments, "--no-cache"]


def run(name: str, command: Sequence[str], files: Sequence[str] = ()) -> bool:
    """Runs one checker in the checkout; says how it went; whether it was content."""
    done = subprocess.run([*command, *files], cwd=workspace(), check=False)
    count = f" ({len(files)} files)" if files else ""
    print(f"{name}: {'ok' if done.returncode == 0 else 'FAILED'}{count}", flush=True)
    return done.returncode == 0
