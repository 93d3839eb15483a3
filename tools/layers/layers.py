"""The dependency rule of docs/architecture.md, and what breaks it in a graph of targets."""

import re
from collections.abc import Iterator

# layer: what its targets may depend on besides their own layer. A target's own label decides, or
# else the first prefix that fits its package.
RULE: dict[str, tuple[str, ...]] = {
    "cc/base": (),
    "cc/cpu": ("cc/base",),
    "cc/format": ("cc/base",),
    "cc/kernels": ("cc/base", "cc/cpu"),
    "cc/model": ("cc/base", "cc/cpu", "cc/kernels", "cc/format"),
    "cc/engine": ("cc/base", "cc/cpu", "cc/kernels", "cc/format", "cc/model"),
    "rust/tokenizer": (),
    "rust/ffi": ("rust/tokenizer",),
    # The Python package itself: import infeng.native runs its __init__.
    "py/infeng:base": (),
    "py/infeng/native": (
        "py/infeng:base",
        "cc/base",
        "cc/cpu",
        "cc/format",
        "cc/kernels",
        "cc/engine",
        "rust/ffi",
    ),
    # Data made by the command line, and sources of data; nothing is compiled there.
    "testdata": ("py", "py/infeng/native"),
    "py": ("py/infeng:base", "py/infeng/native", "testdata"),
    "": ("py",),
}

# Not ours, or only the way in which things are built.
_NEUTRAL = re.compile(r"@|//(toolchains|tools|third_party)\b")
_EDGE = re.compile(r'^\s*"([^"]+)" -> "([^"]+)"')


def edges(graph: str) -> Iterator[tuple[str, str]]:
    """(from, to) of `bazel query --output=graph --nograph:factored`."""
    for line in graph.splitlines():
        match = _EDGE.match(line)
        if match:
            yield match.group(1), match.group(2)


def layer(label: str) -> str | None:
    """The layer of a label; None for what has none (other repositories, the build itself)."""
    if _NEUTRAL.match(label):
        return None
    target = label.removeprefix("//")
    if target in RULE:
        return target
    package = target.partition(":")[0]
    for name in RULE:
        if package == name or (name and package.startswith(name + "/")):
            return name
    raise ValueError(f"{label} is in no layer: add it to RULE in tools/layers/layers.py")


def breaches(graph: str) -> list[str]:
    """One line for each dependency that the rule does not allow."""
    found = []
    for source, target in edges(graph):
        if source.partition(":")[0] == target.partition(":")[0]:
            continue  # a package's own files
        user, used = layer(source), layer(target)
        if user is None or used is None or user == used or used in RULE[user]:
            continue
        found.append(f"{source} ({user or 'top'}) must not depend on {target} ({used or 'top'})")
    return sorted(found)
