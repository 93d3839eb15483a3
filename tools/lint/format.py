"""Formats the checkout in place: C++, Rust, Python, Bazel.

tools/bazel run //:format
"""

import sys

import checkers


def main() -> int:
    good = [
        checkers.run(
            "clang-format", checkers.clang_format(check=False), checkers.tracked(".cc", ".h")
        ),
        checkers.run("rustfmt", checkers.rustfmt(check=False), checkers.tracked(".rs")),
        checkers.run("ruff format", checkers.ruff("format"), checkers.tracked(".py", ".pyi")),
        checkers.run(
            "ruff fixes", checkers.ruff("check", "--fix"), checkers.tracked(".py", ".pyi")
        ),
        checkers.run(
            "buildifier", checkers.buildifier(check=False), checkers.tracked(*checkers.BAZEL)
        ),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
