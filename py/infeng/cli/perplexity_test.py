"""The default model's perplexity, float32 and int8, against the figure of transformers."""

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
