"""Checks the checkout without changing it: formats, Python and Bazel lints, Python types.

tools/bazel run //:lint

clang-tidy and clippy need the build's own flags: they are aspects
(--config=clang-tidy, --config=clippy), which .ci/run calls after this.
"""

import os
import subprocess
import sys

import checkers


def types() -> bool:
    """mypy over the library and the laboratory, with the wheels of the lock."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir=/dev/null", "py/infeng", "perf"],
        cwd=checkers.workspace(),
        env=environment,
        check=False,
    )
    print(f"mypy: {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
    return done.returncode == 0


def main() -> int:
    python = checkers.tracked(".py", ".pyi")
    good = [
        checkers.run(
            "clang-format", checkers.clang_format(check=True), checkers.tracked(".cc", ".h")
        ),
        checkers.run("rustfmt", checkers.rustfmt(check=True), checkers.tracked(".rs")),
        checkers.run("ruff format", checkers.ruff("format", "--check"), python),
        checkers.run("ruff", checkers.ruff("check"), python),
        checkers.run(
            "buildifier", checkers.buildifier(check=True), checkers.tracked(*checkers.BAZEL)
        ),
        types(),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
