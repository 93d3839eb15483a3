"""What the user's own options say about Bazel's output root."""

import os
import re
import shlex

_OPTION = re.compile(r"--output_(user_root|base)(=|$)")


def sets_output_root(args, workspace):
    """Whether the command line or a bazelrc chooses where outputs lie.

    The launcher's own choice would win over a bazelrc's, as it is on the command line."""
    for arg in args:
        if not arg.startswith("-"):
            break  # the command; startup options come before it
        if _OPTION.match(arg):
            return True
    files = [os.path.join(workspace, ".bazelrc"), os.path.expanduser("~/.bazelrc")]
    files += [a.split("=", 1)[1] for a in args if a.startswith("--bazelrc=")]
    seen: set[str] = set()
    return any(_in_file(path, workspace, seen) for path in files)


def _in_file(path, workspace, seen):
    if path in seen:
        return False
    seen.add(path)
    try:
        with open(path, encoding="utf-8") as f:
            lines = f.read().splitlines()
    except OSError:
        return False
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        if not words:
            continue
        if words[0] == "startup" and any(_OPTION.match(word) for word in words[1:]):
            return True
        if words[0] in ("import", "try-import") and len(words) == 2:
            imported = words[1].replace("%workspace%", workspace)
            if _in_file(os.path.join(workspace, imported), workspace, seen):
                return True
    return False
