"""The site as it was built: nothing of it lies elsewhere, and it says what programs say."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from infeng.cli.main import COMMANDS, parser_of
from infeng.serve import openapi

SITE = Path(os.environ["SITE"]).absolute()


class Document(HTMLParser):
    """The ids, links and text of a page, and what a browser loads for it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v for k, v in attrs if v}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif "href" in given and given.get("rel") not in ("next", "prev", "canonical"):
            self.loaded.append(given["href"])
        self.loaded += [given[k] for k in ("src", "srcset", "poster") if k in given]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


PAGES = {str(p.relative_to(SITE)): Document(p.read_text()) for p in sorted(SITE.rglob("*.html"))}


def leads_nowhere(page: str, link: str, pages: dict[str, Document], site: Path) -> bool:
    """Whether a link of a page is broken. Links to other hosts are not looked at."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    # 404.html is shown at any address, so its links begin at the root.
    base = site if link.startswith("/") else (site / page).parent
    place = (
        Path(os.path.normpath(base / unquote(parts.path).lstrip("/")))
        if parts.path
        else site / page
    )
    if place.is_dir():
        place /= "index.html"
    if not place.is_file() or not place.is_relative_to(site):
        return True
    other = pages.get(str(place.relative_to(site)))
    # Material's own button at the top has an anchor of no page.
    fragment = unquote(parts.fragment)
    return bool(fragment and other is not None and fragment not in other.ids)


def test_every_page_is_there() -> None:
    written = {os.path.normpath(p).removesuffix(".md") for p in os.environ["MARKDOWN"].split()} - {
        "README"
    }
    written |= {f"docs/commands/{name}" for name in COMMANDS} | {"docs/server_reference"}
    built = {p.removesuffix(".html").replace("/index", "/README") for p in PAGES}
    assert built == written | {"404", "index"}


@pytest.mark.parametrize("page", PAGES)
def test_links(page: str) -> None:
    broken = [x for x in PAGES[page].links if leads_nowhere(page, x, PAGES, SITE)]
    assert broken == []


def test_broken_links_are_seen() -> None:
    page = next(p for p in PAGES if p == "docs/cli.html")
    for link in ("nowhere.html", "#nowhere", "serve.html#nowhere", "../../x.html"):
        assert leads_nowhere(page, link, PAGES, SITE)
    assert not leads_nowhere(page, "serve.html#routes", PAGES, SITE)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    for loaded in PAGES[page].loaded:
        assert not urlsplit(loaded).netloc, loaded
        assert not leads_nowhere(page, loaded, PAGES, SITE), loaded


def test_styles_load_nothing_from_elsewhere() -> None:
    styles = list(SITE.rglob("*.css"))
    assert styles
    for style in styles:
        urls = re.findall(r"(?:url\(|@import\s*)[\"']?([^\"')\s;]+)", style.read_text())
        assert [u for u in urls if urlsplit(u).netloc] == [], style


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_all_its_options(command: str) -> None:
    text = PAGES[f"docs/commands/{command}.html"].text
    for action in parser_of(command)._actions:
        for name in action.option_strings:
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", text), name


def test_the_reference_has_all_routes_and_fields() -> None:
    document = openapi.document()
    assert json.loads((SITE / "docs/openapi.json").read_text()) == document
    page = PAGES["docs/server_reference.html"]
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in page.text
    for name, schema in document["components"]["schemas"].items():
        assert name.lower() in page.ids
        for field in schema.get("properties", {}):
            assert field in page.text


def test_it_can_be_looked_at() -> None:
    program = [sys.executable, os.environ["SERVE"], "--port", "0"]
    server = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        port = int(re.search(r":(\d+)/", server.stdout.readline()).group(1))  # type: ignore[union-attr]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for path, words in (("/", b"infeng"), ("/docs/commands/run.html", b"--max-tokens")):
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200 and words in response.read()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()  # type: ignore[union-attr]
