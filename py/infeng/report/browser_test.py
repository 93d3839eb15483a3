"""The page in a real browser: no error on the console, nothing overflows, sorting works.

The screenshots are left among the test's outputs, to be looked at."""

import json
import os
from pathlib import Path

import pytest

from infeng.report import write_page
from infeng.report.report_test import summary
from infeng.testing.browser import Browser

# What is wider than the page, outside of its plot or too small; and a column sorted both ways.
_PROBE = """
(() => {
  const found = {wide: [], outside: [], small: []};
  const width = document.documentElement.clientWidth;
  found.scroll = document.documentElement.scrollWidth - width;
  for (const element of document.querySelectorAll("h1, h2, h3, dl, figure, svg, .scroll, pre")) {
    if (element.getBoundingClientRect().right > width + 1) found.wide.push(element.tagName);
  }
  for (const svg of document.querySelectorAll("svg")) {
    const box = svg.getBoundingClientRect();
    if (box.width < 100 || box.height < 40) found.small.push(svg.getAttribute("aria-label"));
    for (const part of svg.querySelectorAll("text, circle, line")) {
      const b = part.getBoundingClientRect();
      if (b.left < box.left - 1 || b.right > box.right + 1 || b.bottom > box.bottom + 1)
        found.outside.push(part.outerHTML);
    }
  }
  const column = (n) => [...document.querySelectorAll("tbody tr")].map((r) => r.cells[n].textContent);
  const button = document.querySelectorAll("th button")[2];
  button.click();
  found.down = column(2);
  button.click();
  found.up = column(2);
  return found;
})()
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    data = summary()
    data["rows"] += summary(op="lora")["rows"]
    (tmp_path / "gemm_summary.json").write_text(json.dumps(data))
    return write_page(tmp_path, tmp_path / "page.html")


@pytest.mark.parametrize("width", [1280, 500])
def test_layout_and_console(page: Path, width: int) -> None:
    outputs = Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", page.parent))
    shot = outputs / f"page_{width}.png"
    with Browser(width, 2400) as browser:
        browser.open(page.as_uri())
        browser.screenshot(shot)
        assert shot.stat().st_size > 20_000
        found = browser.evaluate(_PROBE)
        assert browser.errors == []
    assert found["scroll"] <= 0, "the page scrolls sideways"
    for kind in ("wide", "outside", "small"):
        assert found[kind] == []
    numbers = [int(text) for text in found["up"]]
    assert numbers == sorted(numbers)
    assert [int(text) for text in found["down"]] == sorted(numbers, reverse=True)


def test_the_test_sees_an_error(page: Path) -> None:
    page.write_text(page.read_text().replace("</body>", "<script>nothing()</script></body>"))
    with Browser() as browser:
        browser.open(page.as_uri())
        assert "nothing is not defined" in " ".join(browser.errors)
