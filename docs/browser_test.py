"""The site in a browser: no error, nothing from elsewhere, and the search finds."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from infeng.testing.browser import Browser

SITE = Path(os.environ["SITE"]).absolute()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.mark.parametrize("page", ["index", "docs/commands/run", "docs/server_reference"])
def test_a_page(browser: Browser, origin: str, page: str) -> None:
    browser.open(f"{origin}/{page}.html")
    browser.wait_for("document.readyState === 'complete'")
    loaded = browser.evaluate("performance.getEntriesByType('resource').map(r => r.name)")
    assert loaded and all(name.startswith(origin + "/") for name in loaded), loaded
    assert browser.errors == []


def test_search(browser: Browser, origin: str) -> None:
    browser.open(f"{origin}/index.html?q=load_lora_adapter")
    found = browser.wait_for(
        "[...document.querySelectorAll('.md-search-result__link')].map(a => a.href).join(' ')"
    )
    assert "docs/server_reference.html" in found
    assert browser.errors == []
