"""Where the launcher keeps things: one folder, which may be deleted at any time.

archives/   packages as downloaded, named by their sha256
sets/       unpacked sets, which repository rules hard-link from
bazel/      runnable Bazel installations
registry/   module registries made for a workspace
output/     Bazel's output user root
"""

import os
import re
import shutil

from errors import BootstrapError

NAME = "infeng"


def path(*parts):
    """Absolute path below the cache folder; the folder it lies in exists and is writable.

    Raises BootstrapError when the folder cannot serve."""
    root = _root()
    folder = os.path.join(root, *parts[:-1])
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise _unusable(root, error.strerror) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(root, "not writable")
    return os.path.join(root, *parts)


def _unusable(root, reason):
    return BootstrapError(
        f"cannot use the cache folder {root} ({reason}); "
        "set XDG_CACHE_HOME to a folder that is writable"
    )


def _root():
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        base = os.path.join(os.path.expanduser("~"), ".cache")
    if not os.path.isabs(base):
        raise BootstrapError(
            f"the cache folder must be an absolute path, not '{base}'; set XDG_CACHE_HOME to one"
        )
    root = os.path.realpath(os.path.join(base, NAME))
    temporary = os.path.realpath("/tmp")
    if os.path.commonpath([root, temporary]) == temporary:
        raise BootstrapError(
            f"the cache folder {root} is under {temporary}, which is empty for "
            "sandboxed actions; set XDG_CACHE_HOME to a folder elsewhere"
        )
    # Neither an rpath nor Bazel's output root can hold these.
    if re.search(r"""[\s:;$'"\\]""", root):
        raise BootstrapError(
            f"the cache folder {root!r} must not have spaces, quotes or any of ':;$' in its "
            "name; set XDG_CACHE_HOME to another"
        )
    return root


def require_space(folder, need, purpose):
    """Raises BootstrapError unless `need` bytes are free where `folder` lies."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise BootstrapError(
            f"{purpose} needs {need / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are "
            "free; free some, or set XDG_CACHE_HOME to a folder on a larger disk"
        )
