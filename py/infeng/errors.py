"""Failures that a user is told in one line: what, where, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class InfengError(Exception):
    """A failure with a message for the user. The command line exits with 1."""


class InputError(InfengError):
    """A file, folder or value that is damaged, does not fit or is not supported."""


class UsageError(InfengError):
    """Arguments that do not go together. The command line exits with 2."""


def one_line(text: object) -> str:
    """The text with each run of white space, line ends too, made one space."""
    return " ".join(str(text).split())


def why(error: OSError) -> str:
    """The reason of an OSError, without its number and path."""
    return error.strerror or one_line(error) or type(error).__name__


@contextmanager
def native_errors(where: str = "") -> Iterator[None]:
    """Turn what the native module raises for bad input into InputError.

    where: put before the message unless the message has it already."""
    try:
        yield
    except (ValueError, RuntimeError, KeyError, OSError) as e:
        # The text of a KeyError is its argument's repr.
        text = why(e) if isinstance(e, OSError) else one_line(e.args[0] if e.args else e)
        raise InputError(f"{where}: {text}" if where and where not in text else text) from e
