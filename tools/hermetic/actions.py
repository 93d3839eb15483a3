"""Finds host paths in Bazel's actions.

tools/bazel aquery --output=jsonproto --include_artifacts=false '//...' | \\
    python3 tools/hermetic/actions.py

An action is hermetic when its command line and its environment name nothing by an absolute
path, but for the few that every POSIX host has.
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

# The shell and the basic tools (coreutils, grep), which genrules and wrappers run under.
_ALLOWED = re.compile(
    r"/bin/(ba)?sh$|/bin/true$|/usr/bin/env$|/dev/null$"
    # the PATH of --incompatible_strict_action_env
    r"|/(usr/(local/)?)?bin(:/(usr/(local/)?)?bin)*$"
    # what Bazel gives to its own helper actions
    r"|/proc/self/cwd(/.*)?$"
)
# An absolute path at the start of a word, or after '=', ':', ',', or an option's letter.
_PATH = re.compile(r"(?:^|(?<=[=:,\s\"'])|(?<=^-[IL])|(?<=^-isystem))/[A-Za-z][^\s\"',;)]*")
# Their text is a file's or a script's content, not a command that runs on the host.
_CONTENT = {"FileWrite", "TemplateExpand", "SourceSymlinkManifest", "SymlinkTree", "PyTemplate"}


def host_paths(text: str) -> Iterator[str]:
    """Absolute paths in one argument that are not allowed."""
    for match in _PATH.finditer(text):
        if not _ALLOWED.match(match.group()):
            yield match.group()


def findings(graph: dict[str, Any]) -> Iterator[str]:
    """One line for each host path of an aquery answer (--output=jsonproto)."""
    labels = {t["id"]: t["label"] for t in graph.get("targets", [])}
    for action in graph.get("actions", []):
        if action["mnemonic"] in _CONTENT:
            continue
        where = f"{action['mnemonic']} of {labels.get(action.get('targetId'), '?')}"
        for argument in action.get("arguments", []):
            for path in host_paths(argument):
                yield f"{where}: argument names {path}"
        for variable in action.get("environmentVariables", []):
            for path in host_paths(variable.get("value", "")):
                yield f"{where}: {variable['key']} names {path}"


def main() -> int:
    graph = json.load(sys.stdin)
    actions = graph.get("actions", [])
    found = sorted(set(findings(graph)))
    for line in found:
        print(line)
    print(f"{len(actions)} actions, {len(found)} host paths")
    return 1 if found or not actions else 0


if __name__ == "__main__":
    sys.exit(main())
