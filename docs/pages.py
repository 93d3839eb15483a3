"""Markdown pages as tests see them: headings, links, code."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")


@dataclasses.dataclass(frozen=True)
class Block:
    """Code between fences or indented. language: "" for what is indented. line: its first."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


class Page:
    """One page. path: from the repository's root."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.blocks: list[Block] = []
        self.prose: list[tuple[int, str]] = []  # all other lines, numbered from 1
        self._read(text.splitlines())

    @staticmethod
    def load(root: Path, path: str) -> Page:
        return Page(path, (root / path).read_text(encoding="utf-8"))

    def _read(self, lines: list[str]) -> None:
        number, before = 0, ""
        while number < len(lines):
            line = lines[number]
            fence = re.match(r"\s*```(\w*)", line)
            if fence:
                end = number + 1
                while end < len(lines) and "```" not in lines[end]:
                    end += 1
                self._add(number + 1, fence.group(1) or "text", lines[number + 1 : end])
                number, before = end + 1, ""
                continue
            # In a list an indented paragraph is no code, unless it is indented once more.
            if line.startswith("    ") and not before.strip():
                end = number
                while end < len(lines) and (
                    lines[end].startswith("    ") or not lines[end].strip()
                ):
                    end += 1
                self._add(number, "", lines[number:end])
                number, before = end, ""
                continue
            self.prose.append((number + 1, line))
            number, before = number + 1, line

    def _add(self, line: int, language: str, lines: list[str]) -> None:
        depth = min((len(t) - len(t.lstrip()) for t in lines if t.strip()), default=0)
        text = "\n".join(t[depth:] for t in lines).strip("\n")
        self.blocks.append(Block(self.path, line + 1, language, text))

    @property
    def anchors(self) -> set[str]:
        """What the headings may be linked by, as code forges make them."""
        found: set[str] = set()
        for _, line in self.prose:
            heading = re.match(r"#+ (.*)", line)
            if heading:
                text = re.sub(r"[^\w\- ]", "", heading.group(1).replace("`", "")).strip().lower()
                found.add(text.replace(" ", "-"))
        return found

    @property
    def links(self) -> list[tuple[int, str]]:
        """(line, target) of each link in the prose."""
        return [(n, t) for n, line in self.prose for t in _LINK.findall(_CODE.sub("", line))]

    @property
    def codes(self) -> list[tuple[int, str]]:
        """(line, text) of each piece of code in the prose."""
        return [(n, c) for n, line in self.prose for c in _CODE.findall(line)]

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """(place, words) of each command line in the blocks, pipes taken apart."""
        for block in self.blocks:
            if block.language not in ("", "bash"):
                continue
            for number, line in enumerate(_joined(block.text.splitlines())):
                for words in _commands(line):
                    yield f"{block.page}:{block.line + number}", words


def pages_of(root: Path) -> list[Page]:
    """Those that PAGES names, which a BUILD file sets."""
    # Bazel calls a file of the topmost package ./NAME.
    return [Page.load(root, os.path.normpath(p)) for p in os.environ["PAGES"].split()]


def _joined(lines: list[str]) -> Iterator[str]:
    """Lines whose continuation by a backslash is part of them."""
    held = ""
    for line in lines:
        if line.endswith("\\"):
            held += line[:-1] + " "
        else:
            yield held + line
            held = ""


def _commands(line: str) -> Iterator[list[str]]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return  # a drawing, or another language
    command: list[str] = []
    for word in [*words, "|"]:
        if word != "|":
            command.append(word)
            continue
        while command and re.fullmatch(r"[A-Z_]+=\S*", command[0]):
            command.pop(0)
        if command:
            yield command
        command = []


def bazel_arguments(words: list[str]) -> tuple[list[str], list[str]] | None:
    """Of `tools/bazel ...`: Bazel's own arguments and those after `--`; None of others."""
    if words[0] not in ("tools/bazel", "bazel"):
        return None
    own = words[1:]
    if "--" not in own:
        return own, []
    at = own.index("--")
    return own[:at], own[at + 1 :]


def infeng_arguments(words: list[str]) -> list[str] | None:
    """The arguments of `infeng` in any way of calling it; None of other commands."""
    if words[0] == "infeng" or words[0].endswith("/infeng"):
        return words[1:]
    bazel = bazel_arguments(words)
    if bazel is not None and bazel[0][:2] == ["run", "//:infeng"]:
        return bazel[1]
    return None


def labels(words: list[str]) -> list[str]:
    """Labels and patterns among Bazel's arguments, options that are named by a label too."""
    found = []
    for word in words:
        if word.startswith("--//"):
            found.append(word[2:].partition("=")[0])
        elif word.startswith("//"):
            found.append(word)
    return found
