"""Exclusive use of something among processes, by a lock file next to it."""

import contextlib
import fcntl
import sys


@contextlib.contextmanager
def held(path, waiting_for=None):
    """Holds the lock file `path` (made when missing).

    The kernel drops the lock with the process, so no stale lock can remain.
    `waiting_for`: when given, told to the user if another process holds the lock."""
    with open(path, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting_for:
                print(
                    f"Waiting for another process that is {waiting_for} ...",
                    file=sys.stderr,
                    flush=True,
                )
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
