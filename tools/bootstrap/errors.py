"""Errors that end a command with one line instead of a traceback."""

import errno
import os
import sys


class BootstrapError(Exception):
    """Something the user can act on; its text is the line that is shown."""


class UsageError(BootstrapError):
    """The command line itself is wrong."""


def describe(error):
    """One line for an OSError: what failed, on which path, and what to do about it."""
    where = os.fspath(error.filename) if isinstance(error.filename, (str, os.PathLike)) else ""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"no space left{' at ' + where if where else ''} ({reason}); free some, "
            "or set XDG_CACHE_HOME to a folder on a larger disk"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"cannot use {where or 'a file'} ({reason}); give access to it "
            "or set XDG_CACHE_HOME to another folder"
        )
    return f"{where}: {reason}" if where else reason


def run(program, main, args):
    """Exit code of main(args): 0, 1 for errors, 2 for wrong usage, 130 when interrupted.

    Worker threads may still sit in a network read when an error ends the command, and
    the interpreter would wait for them; hence the hard exit."""
    try:
        code = main(args) or 0
    except UsageError as error:
        code, line = 2, str(error)
    except BootstrapError as error:
        code, line = 1, str(error)
    except OSError as error:
        code, line = 1, describe(error)
    except KeyboardInterrupt:
        code, line = 130, "interrupted; what was downloaded is kept, run it again to go on"
    else:
        return code
    print(f"{program}: {line}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
