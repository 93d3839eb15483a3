"""The command line `infeng`: finds the subcommand and keeps the manners that all share.

Exit codes: 0 good, 1 failed, 2 wrong usage, 130 interrupted. A failure is one line on standard
error; --debug shows the traceback."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
from types import ModuleType
from typing import NoReturn

from infeng.errors import InfengError, UsageError, one_line, why
from infeng.version import __version__

COMMANDS = {
    "run": "answer a prompt, or chat in a terminal",
    "serve": "answer over HTTP, as OpenAI's API does, with many adapters at a time",
    "convert": "make an INFQ file of a model, or of a LoRA adapter",
    "inspect": "show what an INFQ file holds and the memory that it takes",
    "perplexity": "measure a model's perplexity on a text",
    "bench": "measure how fast a model reads prompts and writes answers",
    "tokenize": "turn texts into token ids",
    "report": "make one HTML page of what performance sweeps measured",
    "doctor": "show what this machine offers and what would make it faster",
}

_INTERRUPTED = 130
_BROKEN_PIPE = 141
_TERMINATED = 143


class Parser(argparse.ArgumentParser):
    """Wrong usage is one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        _say(f"{self.prog}: {one_line(message)} (see `{self.prog} --help`)")
        sys.exit(2)


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code. arguments: sys.argv[1:] if None."""
    signal.signal(signal.SIGTERM, _terminate)
    _enter_users_folder()
    arguments = sys.argv[1:] if arguments is None else arguments
    name = _command(arguments)
    parser = parser_of(name)
    args = parser.parse_args(arguments[1:])
    try:
        code: int = _module(name).run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        _say(f"{parser.prog}: interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as e:
        if args.debug:
            traceback.print_exc()
        else:
            _say(f"{parser.prog}: {_message(e)}")
        return 2 if isinstance(e, UsageError) else 1


def parser_of(name: str) -> Parser:
    """The parser of one of COMMANDS."""
    text = COMMANDS[name]
    parser = Parser(prog=f"infeng {name}", description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    _module(name).add_arguments(parser)
    return parser


def _module(name: str) -> ModuleType:
    # Only this one: the others would be waited for.
    return importlib.import_module(f"infeng.cli.commands.{name}")


def _command(arguments: list[str]) -> str:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
    parser = Parser(
        prog="infeng",
        usage="infeng COMMAND ...",
        description=f"Language models on the CPU.\n\ncommands:\n{listing}",
        epilog="`infeng COMMAND --help` shows a command's options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"infeng {__version__}")
    parser.add_argument("command", metavar="COMMAND", help=argparse.SUPPRESS)
    name = parser.parse_args(arguments[:1]).command
    if name not in COMMANDS:
        parser.error(f"no command {name!r}: there are {', '.join(COMMANDS)}")
    return name


def _enter_users_folder() -> None:
    # `bazel run` starts us among the run files; paths on the command line mean the user's folder.
    folder = os.environ.pop("BUILD_WORKING_DIRECTORY", None)
    if folder:
        os.chdir(folder)


def _message(error: Exception) -> str:
    if isinstance(error, InfengError):
        return one_line(error)
    if isinstance(error, MemoryError):
        return one_line(error) or "out of memory: a smaller model, context or batch needs less"
    if isinstance(error, OSError):
        return f"{error.filename}: {why(error)}" if error.filename else why(error)
    return f"internal error: {type(error).__name__}: {one_line(error)} (--debug shows where)"


def _say(line: str) -> None:
    sys.stdout.flush()
    print(line, file=sys.stderr, flush=True)


def _terminate(signum: int, frame: object) -> None:
    # As an exception, so that no half-written file stays.
    sys.exit(_TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
