"""The command lines of //perf:compare_*: what they print, refuse and write."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perf.gate import compare, samples
from perf.gate.summary import load

Run = Callable[..., tuple[int, str, str]]
KEY = "amd-25-1-avx2-2c"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs compare with rules: at least twice as fast as 'hf', and the baseline."""
    rules = tmp_path / "rules.json"
    bound = {"table": "t", "comparison": "hf", "at_least": 2.0, "environment": "MIN_SPEEDUP"}
    rules.write_text(
        json.dumps(
            {
                "name": "t",
                "sweep": "t",
                "bounds": [bound],
                "comparison": "yardstick",
                "spread_limit": 0.02,
                "attempts": 3,
                "tolerance": 0.03,
                "pair": {"name": "hf", "join": ["model", "corpus"], "value": "tokens_per_s"},
            }
        )
    )
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    for name in ("CI", "MIN_SPEEDUP", "BUILD_WORKSPACE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)

    def main(*arguments: str) -> tuple[int, str, str]:
        command = ["compare", f"--rules={rules}", f"--baselines={tmp_path / 'store'}", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        code = compare.main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return main


def measured(folder: Path, hf: float = 3.0, yardstick: float = 0.5, **how: Any) -> None:
    row = samples.row(
        1, hf=samples.comparison(hf, **how), yardstick=samples.comparison(yardstick, **how)
    )
    samples.save(folder, row)


def test_it_judges_bounds_and_baseline(tmp_path: Path, run: Run) -> None:
    measured(tmp_path / "reports")
    code, out, _ = run("--csv=reports/t.csv")
    assert code == 0
    assert "t: PASS (1 PASS, 1 SKIPPED)" in out
    assert f"no baseline of this hardware ({KEY})" in out

    update = ("--update-baseline", "--baseline-out=old.json", "--reason=first")
    assert run("--csv=reports/t.csv", *update)[:2] == (0, "old.json\n")
    assert load(tmp_path / "old.json").meta["baseline"]["reason"] == "first"
    assert "t: PASS (2 PASS)" in run("--csv=reports/t.csv", "--baseline=old.json")[1]

    measured(tmp_path / "reports", yardstick=0.45)
    code, out, _ = run("--csv=reports/t.csv", "--baseline=old.json")
    assert code == 1
    assert "t: FAIL (1 PASS, 1 FAIL): t op=int8 M=1: against the baseline" in out
    assert "slower by 10.0 % than the baseline" in out

    measured(tmp_path / "reports", hf=1.5)
    assert run("--csv=reports/t.csv")[0] == 1
    measured(tmp_path / "reports", hf=2.0)
    assert run("--csv=reports/t.csv")[0] == 0  # inconclusive
    assert run("--csv=reports/t.csv", "--strict")[0] == 1


def test_the_baseline_of_the_store_is_found(tmp_path: Path, run: Run) -> None:
    measured(tmp_path / "reports")
    out = f"--baseline-out=store/{KEY}/t.json"
    assert run("--csv=reports/t.csv", "--update-baseline", out)[0] == 0
    measured(tmp_path / "reports", yardstick=0.45)
    assert run("--csv=reports/t.csv")[0] == 1


def test_the_environment_overrides_but_ci_never_loosens(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(tmp_path / "reports", hf=1.5)
    monkeypatch.setenv("MIN_SPEEDUP", "1.2")
    code, out, _ = run("--csv=reports/t.csv")
    assert code == 0
    assert "MIN_SPEEDUP=1.2 overrides the bound ≥ 2×" in out
    monkeypatch.setenv("CI", "true")
    code, _, err = run("--csv=reports/t.csv")
    assert code == 2
    assert "MIN_SPEEDUP=1.2 loosens the bound ≥ 2×, which CI does not allow" in err
    monkeypatch.setenv("MIN_SPEEDUP", "1.2x")
    assert "expected a number" in run("--csv=reports/t.csv")[2]


def test_refusals_have_their_reasons(tmp_path: Path, run: Run) -> None:
    measured(tmp_path / "reports", spread=0.05)
    code, _, err = run("--csv=reports/t.csv", "--update-baseline", "--baseline-out=x.json")
    assert code == 1
    assert err.startswith("compare_t: refused: noisy run: A/A spread 5.0 %")
    assert not (tmp_path / "x.json").exists()


def test_wrong_usage(tmp_path: Path, run: Run) -> None:
    measured(tmp_path / "reports")
    assert "no such file" in run("--csv=nowhere.csv")[2]
    (tmp_path / "reports/t_summary.json").rename(tmp_path / "t_summary.json")
    assert "t_summary.json is not beside it" in run("--csv=reports/t.csv")[2]
    (tmp_path / "t_summary.json").rename(tmp_path / "reports/t_summary.json")
    code, _, err = run("--csv=reports/t.csv", "--baseline-out=x.json")
    assert (code, err) == (2, "compare_t: --baseline-out goes with --update-baseline\n")
    assert "give --csv, or --native and --python" in run()[2]
    assert "go together" in run("--native=reports/t.csv")[2]
    assert "give --baseline-out" in run("--csv=reports/t.csv", "--update-baseline")[2]


HEADER = "impl,model,corpus,tokens_per_s,reps,cv_pct"


def two_files(folder: Path, native: str, python: str) -> tuple[str, str]:
    (folder / "t.csv").write_text(f"{HEADER}\n{native}\n")
    (folder / "t_py.csv").write_text(f"{HEADER}\n{python}\n")
    return "--native=t.csv", "--python=t_py.csv"


@pytest.mark.parametrize(
    ("native", "code", "verdict"),
    [
        ("infeng,gpt2,code,500,20,4", 0, "t: PASS (1 PASS)"),
        ("infeng,gpt2,code,150,20,4", 1, "t: FAIL (1 FAIL): t model=gpt2 corpus=code: hf"),
        ("infeng,gpt2,code,200,20,4", 0, "t: INCONCLUSIVE"),
    ],
)
def test_two_csv_files(tmp_path: Path, run: Run, native: str, code: int, verdict: str) -> None:
    files = two_files(tmp_path, native, "hf,gpt2,code,100,20,4")
    got, out, _ = run(*files)
    assert got == code
    assert verdict in out


@pytest.mark.parametrize(
    ("native", "python", "message"),
    [
        ("infeng,gpt2,code,500,20,4", "hf,gpt2,prose,1,1,1", "missing row model=gpt2 corpus=prose"),
        ("infeng,gpt2,code,nan,20,4", "hf,gpt2,code,1,1,1", "column tokens_per_s is nan"),
        ("infeng,gpt2,code,500,0,4", "hf,gpt2,code,1,1,1", "reps=0"),
        ("infeng,gpt2,code,fast,20,4", "hf,gpt2,code,1,1,1", "could not convert"),
    ],
)
def test_two_bad_csv_files(
    tmp_path: Path, run: Run, native: str, python: str, message: str
) -> None:
    code, _, err = run(*two_files(tmp_path, native, python))
    assert code == 1
    assert message in err
    assert "csv" in err
