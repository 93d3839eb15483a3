"""Pages tell the truth: links lead somewhere, labels, files and options exist, commands parse."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

import pytest
from pages import Page, bazel_arguments, infeng_arguments, labels, pages_of

from infeng.cli.main import COMMANDS, parser_of

ROOT = Path.cwd()  # of the run files
PAGES = pages_of(ROOT)
# Every target of the packages that docs/BUILD.bazel lists, as Bazel knows them.
TARGETS = set((ROOT / os.environ["TARGETS"]).read_text().split())
PACKAGES = {t.partition(":")[0] for t in TARGETS}
CONFIGS = {
    name
    for file in os.environ["BAZELRC"].split()
    for name in re.findall(r"^\w+:(\S+)", (ROOT / file).read_text(), re.M)
}
# Read by people and scripts only, so no target.
NO_TARGETS = (
    "tools/golden/",
    "testdata/model/",
    "tools/ci/",
    "perf/baselines/",
    "perf/peers/lock.py",
)


def broken_links(page: Page, pages: dict[str, Page]) -> list[str]:
    """Links of a page that lead to no page, or to no heading of it."""
    wrong = []
    for line, target in page.links:
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        place = PurePosixPath(os.path.normpath(PurePosixPath(page.path).parent / path))
        other = pages.get(str(place)) if path else page
        if other is None or (anchor and anchor not in other.anchors):
            wrong.append(f"{page.path}:{line}: {target}")
    return wrong


def unknown_label(label: str) -> str:
    """What is wrong with a label or pattern; "" if nothing."""
    if label.endswith("..."):
        prefix = label.removesuffix("...").rstrip("/")
        known = label == "//..." or any(p == prefix or p.startswith(prefix + "/") for p in PACKAGES)
        return "" if known else f"{label}: no package below it is in docs/BUILD.bazel"
    package, colon, name = label.partition(":")
    if package not in PACKAGES:
        return f"{label}: its package is not listed in docs/BUILD.bazel"
    if name == "all":
        return ""
    full = label if colon else f"{package}:{package.rpartition('/')[2]}"
    return "" if full in TARGETS else f"{label}: there is no such target"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.path)
def test_links(page: Page) -> None:
    assert broken_links(page, {p.path: p for p in PAGES}) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.path)
def test_labels_exist(page: Page) -> None:
    wrong = []
    for where, words in page.commands():
        bazel = bazel_arguments(words)
        if bazel is not None:
            wrong += [f"{where}: {e}" for e in map(unknown_label, labels(bazel[0])) if e]
    for line, code in page.codes:
        for label in re.findall(r"(?<![\w@:/])//[\w./-]+(?::[\w./-]+)?", code):
            # //perf:NAME and the like stand for several.
            if not re.search(r"[A-Z<*]", label) and unknown_label(label):
                wrong.append(f"{page.path}:{line}: {unknown_label(label)}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.path)
def test_configurations_exist(page: Page) -> None:
    text = [c for _, c in page.codes] + [b.text for b in page.blocks]
    named = {n for t in text for n in re.findall(r"--config=([\w-]+)", t)}
    assert named <= CONFIGS


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.path)
def test_files_exist(page: Page) -> None:
    """Files that are named by their path from the root, where Bazel knows the package."""
    wrong = []
    for line, code in page.codes:
        for path in re.findall(r"(?<![\w./<$-])(?:[\w-]+/)+[\w.-]+\.\w+(?![\w/<*{-])", code):
            folder = PurePosixPath(path).parent
            owners = [p for p in (folder, *folder.parents) if f"//{p}" in PACKAGES]
            if not owners or path.startswith(NO_TARGETS):
                continue
            if f"//{owners[0]}:{PurePosixPath(path).relative_to(owners[0])}" not in TARGETS:
                wrong.append(f"{page.path}:{line}: {path}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.path)
def test_commands_parse(page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    for where, words in page.commands():
        arguments = infeng_arguments(words)
        if not arguments or not arguments[0].islower():
            continue  # another command, or COMMAND stands for any
        assert arguments[0] in COMMANDS, where
        try:
            parser_of(arguments[0]).parse_args(arguments[1:])
        except SystemExit:
            pytest.fail(f"{where}: {' '.join(words)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.path)
def test_options_exist(page: Page) -> None:
    """Options of `infeng COMMAND --option` within sentences."""
    wrong = []
    for line, code in page.codes:
        words = code.split()
        if len(words) < 2 or words[0] != "infeng" or not words[1].islower():
            continue
        if words[1] not in COMMANDS:
            wrong.append(f"{page.path}:{line}: {code}")
            continue
        known = parser_of(words[1])._option_string_actions
        given = [w.partition("=")[0] for w in words if w.startswith("--")]
        wrong += [f"{page.path}:{line}: {code}" for g in given if g not in known]
    assert wrong == []


def test_the_command_line_tells_all_commands() -> None:
    """docs/cli.md: each command has a row; each section names only options of its command."""
    (page,) = (p for p in PAGES if p.path == "docs/cli.md")
    rows = re.findall(r"^\| `(\w+)", "\n".join(t for _, t in page.prose), re.M)
    assert [r for r in rows if r in COMMANDS] == list(COMMANDS)
    command, wrong = "", []
    for line, text in page.prose:
        heading = re.match(r"## (?:infeng (\w+))?", text)
        if heading:
            command = heading.group(1) or ""
        if command:
            # `--html` is of sweeps, which write what `report` does.
            known = {*parser_of(command)._option_string_actions, "--html"}
            named = re.findall(r"`(--[\w-]+)", text)
            wrong += [f"docs/cli.md:{line}: {command} has no {c}" for c in named if c not in known]
    assert wrong == []


# The checks themselves see what is wrong.


def test_broken_links_are_seen() -> None:
    other = Page("docs/b.md", "# Two words, and `code`\n")
    good = "[x](b.md) [y](b.md#two-words-and-code) [z](#here) [w](https://example.org) `[a](b)`\n"
    page = Page("docs/a.md", f"# Here\n{good}")
    pages = {p.path: p for p in (page, other)}
    assert broken_links(page, pages) == []
    for wrong in ("c.md", "b.md#two", "../b.md", "#there"):
        assert len(broken_links(Page("docs/a.md", f"[x]({wrong})\n"), pages)) == 1


def test_wrong_labels_are_seen() -> None:
    assert unknown_label("//docs:site") == unknown_label("//docs/...") == ""
    for wrong in ("//docs:sight", "//nowhere:x", "//nowhere/...", "//docs"):
        assert unknown_label(wrong)


def test_commands_are_found() -> None:
    page = Page(
        "a.md",
        'Text\n\n    A=1 tools/bazel run //:infeng -- run \\\n      "a b"  # why\n'
        "    echo x | infeng run\n\n```bash\nbin/infeng doctor\n```\n\n```json\ninfeng x\n```\n",
    )
    told = [words for _, words in page.commands()]
    assert [infeng_arguments(w) for w in told] == [["run", "a b"], None, ["run"], ["doctor"]]
    assert labels(["test", "--//a:b=1", "//c/...", "-c", "opt"]) == ["//a:b", "//c/..."]
