"""The default model's perplexity: against the figure of transformers, and by KV cache."""

import json
from pathlib import Path

import pytest

from infeng.testing.command import infeng_json

TESTDATA = Path("testdata")
GOLDEN = json.loads((TESTDATA / "golden" / "ppl_f32.json").read_text())["handbook_a.txt@512"]


@pytest.mark.parametrize(("dtype", "tolerance"), [("f32", 0.0005), ("int8", 0.005)])
def test_perplexity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, tolerance: float
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = TESTDATA / "text_handbook" / "handbook_a.txt"
    result = infeng_json("perplexity", "--text", text, "--window", 512, "--dtype", dtype)
    assert (result["scored"], result["tokens"]) == (GOLDEN["scored"], GOLDEN["tokens"])
    assert result["scored"] == 12775
    assert result["ppl"] == pytest.approx(GOLDEN["ppl"], rel=tolerance)


def test_kv_caches_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = tmp_path / "text"
    text.write_text((TESTDATA / "text_handbook" / "handbook_a.txt").read_text()[:12000])
    shown = infeng_json("perplexity", "--text", text, "--window", 1024, "--kv", "f16,int8,int4")
    assert shown["reference"] == "f16"
    f16, int8, int4 = shown["rows"]
    assert [row["kv"] for row in shown["rows"]] == ["f16", "int8", "int4"]
    assert f16["delta_pp"] == 0
    assert 0 < abs(int8["delta_pp"]) <= 0.3
    assert abs(int4["delta_pp"]) > abs(int8["delta_pp"])
    assert int4["kv_bytes_per_token"] < int8["kv_bytes_per_token"] < 0.6 * f16["kv_bytes_per_token"]
