"""The page in a real browser: no error on the console, nothing overflows, sorting works.

The screenshots are left among the test's outputs, to be looked at."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from infeng.report import write_page
from infeng.report.report_test import summary

# Runs in the page when it has loaded; the page's own script has run before.
_PROBE = """
<script>
addEventListener("load", () => {
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
  document.body.innerHTML = "";
  document.body.textContent = "PROBE" + JSON.stringify(found) + "PROBE";
});
</script>
"""


def browse(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Up from the link among the run files, not from what it points to.
    program = Path(os.path.abspath(os.environ["CHROMIUM"]))
    root = program.parents[3]
    libraries = ["usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"]
    libraries.append("lib/x86_64-linux-gnu")
    home = Path(os.environ["TEST_TMPDIR"])
    return subprocess.run(
        [
            os.path.realpath(program),
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={home / 'profile'}",
            *arguments,
        ],
        env={
            "HOME": str(home),
            "LD_LIBRARY_PATH": ":".join(str(root / folder) for folder in libraries),
            "FONTCONFIG_PATH": str(root / "etc/fonts"),
            "FONTCONFIG_SYSROOT": str(root),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )


def console(said: str) -> list[str]:
    return [line for line in said.splitlines() if ":CONSOLE" in line]


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
    done = browse(f"--window-size={width},2400", f"--screenshot={shot}", page.as_uri())
    assert console(done.stderr) == []
    assert shot.stat().st_size > 20_000

    probe = page.with_name("probe.html")
    probe.write_text(page.read_text().replace("</body>", _PROBE + "</body>"))
    done = browse(f"--window-size={width},2400", "--dump-dom", probe.as_uri())
    assert console(done.stderr) == []
    match = re.search("PROBE(.*)PROBE", done.stdout)
    assert match, done.stdout[-500:]
    found = json.loads(match[1])
    assert found["scroll"] <= 0, "the page scrolls sideways"
    for kind in ("wide", "outside", "small"):
        assert found[kind] == []
    numbers = [int(text) for text in found["up"]]
    assert numbers == sorted(numbers)
    assert [int(text) for text in found["down"]] == sorted(numbers, reverse=True)


def test_the_test_sees_an_error(page: Path) -> None:
    page.write_text(page.read_text().replace("</body>", "<script>nothing()</script></body>"))
    assert "nothing is not defined" in console(browse("--dump-dom", page.as_uri()).stderr)[0]
