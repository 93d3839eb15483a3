"""The page holds what was measured, stands alone, and survives hostile names."""

import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from infeng.errors import InputError
from infeng.report import write_page
from infeng.report.svg import Axis, number


def summary(ratio: float = 0.5, op: str = "int8") -> dict[str, Any]:
    comparison = {
        "against": "Int8Mac",
        "log_ratio": math.log(ratio),
        "low": math.log(ratio) - 0.01,
        "high": math.log(ratio) + 0.01,
    }
    columns = ["op", "path", "M", "gops", "gb_per_s", "pct_peak"]
    rows = []
    for m in (1, 16, 128):
        key = {"op": op, "path": "avx2", "M": str(m)}
        values = {**key, "gops": str(30 + m), "gb_per_s": str(40 / m), "pct_peak": "50"}
        rows.append(
            {"table": "gemm_base", "key": key, "values": values,
             "comparisons": {"yardstick": comparison, "f32": comparison}}
        )  # fmt: skip
    rows.append({"table": "gemm_base", "key": {"op": op, "path": "avx512", "M": "1"}, "values": {},
                 "comparisons": {}, "skipped": "this CPU lacks avx512f"})  # fmt: skip
    return {
        "_meta": {
            "sweep": "gemm",
            "tables": {"gemm_base": columns},
            "units": {"gops": "10^9 operations/s"},
            "hardware": {
                "key": "amd-25-1-avx2-2c",
                "model_name": "AMD <EPYC>",
                "peaks": {
                    "int8_gops": {"avx2": 265.0},
                    "f32_gflops": {"avx2": 100.0},
                    "read_gb_per_s": {"1": 19.0},
                },
            },
            "build": {"commit": "c0ffee", "dirty": False, "compiler": "clang 17"},
            "run": {"started": "2026-11-25T02:00:00+00:00", "load_average": [0.1, 0.2],
                    "aa_spread_pct": {"median": 0.2, "max": 0.4}},
        },
        "rows": rows,
    }  # fmt: skip


def page(folder: Path, data: dict[str, Any], **options: Any) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "gemm_summary.json").write_text(json.dumps(data))
    return write_page(folder, folder / "page.html", **options).read_text()


class Balanced(HTMLParser):
    """Every element that is opened is closed, in order."""

    void = frozenset({"meta", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_holds_every_figure(tmp_path: Path) -> None:
    text = page(tmp_path, summary())
    Balanced(text)
    for title in ("Roofline", "Share of the roof that binds", "Speed-up: f32"):
        assert title in text
    assert "this CPU lacks avx512f" in text
    assert "AMD &lt;EPYC&gt;" in text and "AMD <EPYC>" not in text
    assert '"commit": "c0ffee"' in text.replace("&quot;", '"')
    drawings = re.findall(r"<svg.*?</svg>", text)
    assert len(drawings) == 3
    for drawing in drawings:
        tree = ElementTree.fromstring(drawing)
        assert len(tree.findall("circle")) == 3
        assert not re.search(r"nan|inf", drawing)


def test_it_stands_alone(tmp_path: Path) -> None:
    text = page(tmp_path, summary())
    assert not re.search(r"https?://|@import|url\(|src=", text)


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    data = summary(op="<script>alert(1)</script>")
    data["rows"] += summary(op="other")["rows"]  # two kinds of points: a legend
    text = page(tmp_path, data)
    assert 'class="legend"' in text
    assert "<script>alert" not in text
    Balanced(text)


def test_the_trend_needs_two_committed_baselines(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    path = folder / "baselines/amd-25-1-avx2-2c/gemm.json"
    path.parent.mkdir(parents=True)

    if not shutil.which("git"):
        pytest.skip("git is not installed")

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)

    git("init", "-q")
    for ratio in (0.4, 0.5):
        text = page(tmp_path / "reports", summary(), baselines=folder / "baselines")
        assert "Fewer than two committed baselines" in text
        path.write_text(json.dumps(summary(ratio)))
        git("add", ".")
        git("commit", "-qm", "a baseline")
    text = page(tmp_path / "reports", summary(), baselines=folder / "baselines")
    assert "Fewer than two" not in text
    drawing = re.findall(r"<svg.*?</svg>", text)[-1]
    assert len(ElementTree.fromstring(drawing).findall("circle")) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not valid JSON"), ("{}", "_meta: missing"), ('{"_meta": {}}', "sweep: missing")],
)
def test_damaged_summaries_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "gemm_summary.json").write_text(text)
    with pytest.raises(InputError, match=f"gemm_summary.json.*{message}"):
        write_page(tmp_path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run a sweep"):
        write_page(tmp_path, tmp_path / "page.html")


def test_axes_and_numbers() -> None:
    axis = Axis(1, 100, 0, 200)
    assert (axis(1), axis(10), axis(100)) == (0, 100, 200)
    assert axis.ticks() == [1, 2, 5, 10, 20, 50, 100]
    assert [number(x) for x in (0, 0.0512, 1.0, 12.345, 1234, 2.5e9)] == [
        "0", "0.0512", "1", "12.3", "1,234", "2.50e+09",
    ]  # fmt: skip
