"""The page at / in a real browser: several adapters answer side by side, live."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infeng.serve.testing import ServerProcess
from infeng.testing.browser import Browser
from infeng.testing.signs import is_upper

ADAPTERS = Path("testdata/adapters").absolute()
MODELS = ["smollm2-135m-instruct", "json", "upper"]
TOKENS = 96

# Keeps what has been shown of the load.
_WATCH = """
window.shown = [];
new MutationObserver(() => shown.push(document.getElementById("load").textContent))
  .observe(document.getElementById("load"), {childList: true});
"""
_CARDS = """
[...document.querySelectorAll("article")].map((a) => ({
  model: a.dataset.model, busy: a.className === "busy",
  text: a.querySelector(".text").textContent, figures: a.querySelector(".figures").textContent,
  box: a.getBoundingClientRect().toJSON()}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess("--adapters", f"{ADAPTERS}/*") as server:
        yield server


@pytest.fixture
def page(server: ServerProcess) -> Iterator[Browser]:
    with Browser() as browser:
        browser.open(server.url)
        browser.wait_for("document.querySelectorAll('#models input').length === 3")
        yield browser


def ask(page: Browser, prompt: str, tokens: int) -> None:
    values = {"prompt": prompt, "tokens": tokens, "temperature": 0, "seed": 1}
    page.evaluate(
        f"Object.entries({json.dumps(values)})"
        ".forEach(([id, value]) => { document.getElementById(id).value = value; })"
    )
    page.evaluate("document.getElementById('ask').click()")


def test_answers_side_by_side(page: Browser, server: ServerProcess) -> None:
    page.evaluate(_WATCH)
    ask(page, "Why is the sky blue?", TOKENS)
    snapshots: list[list[dict[str, Any]]] = []
    while not snapshots or any(c["busy"] for c in snapshots[-1]):
        snapshots.append(page.evaluate(_CARDS))
        time.sleep(0.01)
    outputs = Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", os.environ["TEST_TMPDIR"]))
    page.screenshot(outputs / "page.png")

    cards = snapshots[-1]
    assert [c["model"] for c in cards] == MODELS
    for card in cards:
        # What the same request gives by itself.
        body = {
            "model": card["model"],
            "messages": [{"role": "user", "content": "Why is the sky blue?"}],
            "max_tokens": TOKENS,
            "temperature": 0,
        }
        answer = server.request("/v1/chat/completions", body)[1]
        assert card["text"] == answer["choices"][0]["message"]["content"]
        tokens = answer["usage"]["completion_tokens"]
        assert card["figures"].startswith(f"{tokens} tokens · ")
        assert "tokens/s" in card["figures"] and "first after" in card["figures"]
        # It came bit by bit.
        texts = [c["text"] for cards in snapshots for c in cards if c["model"] == card["model"]]
        assert len(set(texts)) > 5
        assert all(b.startswith(a) for a, b in itertools.pairwise(texts))
    assert is_upper(cards[2]["text"]) and cards[1]["text"].startswith("{")
    # At the same time, and beside each other.
    assert any(sum(c["busy"] and c["text"] != "" for c in cards) == 3 for cards in snapshots)
    boxes = [c["box"] for c in cards]
    assert len({b["top"] for b in boxes}) == 1
    assert all(a["right"] < b["left"] for a, b in itertools.pairwise(boxes))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # What each model made stays.
    last = page.wait_for("shown.length && shown.at(-1).includes('0 running') && shown.at(-1)")
    for figure in ("waiting", "tokens/s", "KV cache", "prefix hits", "json", "upper"):
        assert figure in last
    assert page.errors == []


def test_stop_and_wrong_use(page: Browser, server: ServerProcess) -> None:
    ask(page, "Tell me a long story.", 2000)
    page.wait_for("[...document.querySelectorAll('article .text')].every((t) => t.textContent)")
    # The load is seen while it lasts.
    page.wait_for("/[1-3] running/.test(document.getElementById('load').textContent)")
    page.evaluate("document.getElementById('stop').click()")
    page.wait_for("[...document.querySelectorAll('article.busy')].length === 0")
    cards = page.evaluate(_CARDS)
    assert any(c["figures"].endswith("stopped") for c in cards)
    server.wait_until_idle(5)
    page.evaluate(
        "document.querySelectorAll('#models input').forEach((i) => { i.checked = false })"
    )
    page.evaluate("document.getElementById('ask').click()")
    assert page.evaluate("document.getElementById('problem').textContent") == "Choose a model."
    assert page.errors == []
    # Those below would have been seen.
    page.evaluate("void setTimeout(() => nothing(), 0)")
    page.evaluate("console.error('wrong')")
    page.evaluate("fetch('/none').then(() => null)")
    page.wait_for("performance.getEntriesByName(location.origin + '/none').length === 1")
    said = " ".join(page.errors)
    assert "nothing is not defined" in said and "wrong" in said and "404" in said


def test_a_server_that_has_gone_is_told(page: Browser) -> None:
    page.evaluate("fetch = () => Promise.reject(new TypeError('gone'))")
    page.wait_for("document.getElementById('load').textContent === 'the server does not answer'")
    ask(page, "Hello", 4)
    page.wait_for("document.querySelectorAll('article .error').length === 3")
