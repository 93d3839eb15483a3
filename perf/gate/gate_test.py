"""What a gate says of good, slow, noisy and damaged results; each bad input by its own message."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infeng.errors import InputError
from perf.gate import baseline as store
from perf.gate import samples
from perf.gate.gate import Rules, read_run, settle
from perf.gate.summary import Summary, load
from perf.gate.table import closing, overall, table
from perf.gate.verdict import Bound, Outcome, judge_bound

KEY = "amd-25-1-avx2-2c"
RULES = Rules("t", "t", ())


@pytest.fixture
def baselines(tmp_path: Path) -> Path:
    path = samples.save(tmp_path / "old", samples.row(1, yardstick=samples.comparison(0.5)))
    folder = tmp_path / "baselines"
    store.write(load(path), folder / KEY / "t.json", "the first")
    return folder


def runs(tmp_path: Path, *ratios: float, **how: float) -> Callable[[Sequence[str]], Summary]:
    """A sweep that finds the ratios one after the other."""
    left = list(ratios)

    def measure(only: Sequence[str]) -> Summary:
        assert left, "the gate asked for one run too many"
        folder = tmp_path / f"run{len(left)}"
        samples.save(folder, samples.row(1, yardstick=samples.comparison(left.pop(0), **how)))
        return read_run(folder, "t")

    return measure


def outcome(measure: Callable[[Sequence[str]], Summary], baselines: Path) -> Outcome:
    verdicts, _ = settle(RULES, measure, [baselines], every_row=True, say=lambda _: None)
    assert table(verdicts).count("\n") == len(verdicts)
    assert closing(verdicts).startswith(overall(verdicts).value)
    return overall(verdicts)


def test_equal_speed_passes(tmp_path: Path, baselines: Path) -> None:
    assert outcome(runs(tmp_path, 0.5), baselines) is Outcome.PASS


def test_faster_passes(tmp_path: Path, baselines: Path) -> None:
    assert outcome(runs(tmp_path, 0.9), baselines) is Outcome.PASS


def test_a_slowdown_fails_when_seen_twice(tmp_path: Path, baselines: Path) -> None:
    assert outcome(runs(tmp_path, 0.47, 0.47), baselines) is Outcome.FAIL


def test_a_slowdown_that_goes_away_passes(tmp_path: Path, baselines: Path) -> None:
    assert outcome(runs(tmp_path, 0.47, 0.5), baselines) is Outcome.PASS


def test_within_three_percent_passes(tmp_path: Path, baselines: Path) -> None:
    assert outcome(runs(tmp_path, 0.489), baselines) is Outcome.PASS


def test_noise_is_inconclusive_not_failure(tmp_path: Path, baselines: Path) -> None:
    measure = runs(tmp_path, 0.4, 0.4, 0.4, error=0.03, spread=0.03)
    assert outcome(measure, baselines) is Outcome.INCONCLUSIVE


def test_a_failure_of_the_last_run_alone_is_inconclusive(tmp_path: Path, baselines: Path) -> None:
    noisy = runs(tmp_path, 0.4, 0.4, error=0.03, spread=0.03)
    slow = runs(tmp_path / "slow", 0.4)
    order = iter([noisy, noisy, slow])
    assert outcome(lambda only: next(order)(only), baselines) is Outcome.INCONCLUSIVE


def test_unknown_hardware_is_skipped_and_leaves_a_candidate(tmp_path: Path) -> None:
    verdicts, first = settle(RULES, runs(tmp_path, 0.5), [tmp_path / "none"], True)
    assert overall(verdicts) is Outcome.SKIPPED
    assert KEY in verdicts[0].reason
    candidate = store.write_candidate(first, tmp_path)
    assert load(candidate).row("t", {"op": "int8", "M": "1"})


def one(bound: Bound, tmp_path: Path, *rows: dict[str, Any]) -> tuple[Outcome, str]:
    (verdict,) = judge_bound(bound, load(samples.save(tmp_path, *rows)))
    return verdict.outcome, verdict.reason


def test_ratio_bounds(tmp_path: Path) -> None:
    bound = Bound("t", {"M": ">=1"}, comparison="hf", at_least=3.5)
    sample = samples.comparison
    assert one(bound, tmp_path, samples.row(1, hf=sample(4.0)))[0] is Outcome.PASS
    assert one(bound, tmp_path, samples.row(1, hf=sample(3.0)))[0] is Outcome.FAIL
    assert one(bound, tmp_path, samples.row(1, hf=sample(3.5)))[0] is Outcome.INCONCLUSIVE
    noisy = sample(3.0, spread=0.05)
    assert one(bound, tmp_path, samples.row(1, hf=noisy))[0] is Outcome.INCONCLUSIVE
    assert "not compared" in one(bound, tmp_path, samples.row(1))[1]
    skipped = {**samples.row(1), "skipped": "this CPU lacks avx512f", "values": {}}
    skipped["comparisons"] = {}
    path = tmp_path / "skipped.json"
    path.write_text(json.dumps(samples.data(skipped)))
    # A bound on key columns finds a skipped row too.
    (verdict,) = judge_bound(bound, load(path))
    assert (verdict.outcome, verdict.reason) == (Outcome.SKIPPED, "this CPU lacks avx512f")


def test_a_bound_that_the_machines_peaks_do_not_allow(tmp_path: Path) -> None:
    """On a CPU that multiplies bytes no faster than floats, 0.9 of the peaks' quotient is the bound."""
    bound = Bound("t", comparison="f32", at_least=1.2, peaks="int8_gops/f32_gflops")
    row = samples.row(1, f32=samples.comparison(1.0))
    row["key"]["path"] = "avx2"

    def judged(int8: object) -> tuple[Outcome, str]:
        data = samples.data(row)
        peaks = {"int8_gops": {"avx2": int8}, "f32_gflops": {"avx2": 100.0}}
        data["_meta"]["hardware"]["peaks"] = peaks
        path = tmp_path / "t_summary.json"
        path.write_text(json.dumps(data))
        (verdict,) = judge_bound(bound, load(path))
        return verdict.outcome, verdict.bound

    assert judged(260.0) == (Outcome.FAIL, "≥ 1.2×")
    assert judged(95.0) == (Outcome.PASS, "≥ 0.855×")
    assert judged(130.0) == (Outcome.FAIL, "≥ 1.17×")
    for bad in (None, 0.0, "fast"):
        with pytest.raises(InputError, match="no peak int8_gops of tier 'avx2'"):
            judged(bad)
    with pytest.raises(ValueError, match="peaks are A/B"):
        Bound("t", column="scratch_ratio", at_least=1, peaks="int8_gops/f32_gflops")


def test_count_bounds(tmp_path: Path) -> None:
    good = Bound("t", column="scratch_ratio", at_most=1.25)
    bad = Bound("t", column="scratch_ratio", at_most=1.05)
    assert one(good, tmp_path, samples.row(1))[0] is Outcome.PASS
    assert one(bad, tmp_path, samples.row(1))[0] is Outcome.FAIL


def test_a_bound_that_only_warns(tmp_path: Path) -> None:
    summary = load(samples.save(tmp_path, samples.row(1)))
    for at_most, want in ((1.1, Outcome.PASS), (1.0, Outcome.WARN)):
        (verdict,) = judge_bound(
            Bound("t", column="scratch_ratio", at_most=at_most, warn=True), summary
        )
        assert verdict.outcome is overall([verdict]) is want
    assert closing([verdict]).startswith("WARN (1 WARN): t op=int8 M=1: scratch_ratio")


def test_drift_warns(tmp_path: Path, baselines: Path) -> None:
    bound = Bound("t", column="tokens_per_s", at_most=200, warn=True, drift=True)
    rules = Rules("t", "t", (bound,))

    def measured(value: str) -> list[Outcome]:
        row = samples.row(1, yardstick=samples.comparison(0.5))
        row["values"]["tokens_per_s"] = value
        samples.save(tmp_path / "run", row)
        verdicts, _ = settle(rules, lambda _: read_run(tmp_path / "run", "t"), [baselines], True)
        return [v.outcome for v in verdicts]

    # The baseline has 1000.
    assert measured("1200") == [Outcome.PASS, Outcome.PASS]
    assert measured("1201") == [Outcome.PASS, Outcome.WARN]
    assert measured("0") == [Outcome.PASS, Outcome.PASS]
    with pytest.raises(ValueError, match="a drift is of a column"):
        Bound("t", comparison="yardstick", at_most=1, drift=True)


def test_a_bound_that_meets_no_row_fails(tmp_path: Path) -> None:
    bound = Bound("t", {"M": "2"}, column="scratch_ratio", at_most=1)
    assert one(bound, tmp_path, samples.row(1)) == (Outcome.FAIL, "missing row: none measured")


def test_a_row_that_only_the_baseline_has_fails(tmp_path: Path, baselines: Path) -> None:
    def measure(_: Sequence[str]) -> Summary:
        return load(samples.save(tmp_path / "new", samples.row(2, yardstick=samples.comparison())))

    verdicts, _ = settle(RULES, measure, [baselines], every_row=True)
    assert overall(verdicts) is Outcome.FAIL
    assert "missing row" in table(verdicts)


def nan(d: dict[str, Any]) -> None:
    d["rows"][0]["comparisons"]["yardstick"]["low"] = None


BAD: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("nan", nan, r"comparisons.yardstick: low: is not a number \(NaN\)"),
    ("no rows", lambda d: d["rows"].clear(), "no rows"),
    ("twice", lambda d: d["rows"].append(d["rows"][0]), "is there twice"),
    ("schema", lambda d: d["_meta"].update(schema="x"), "expected 'infeng-perf-1', found 'x'"),
    (
        "clock",
        lambda d: d["_meta"]["run"].update(wall_s=3700.0),
        r"the clock stepped by \+3690.0 s",
    ),
    (
        "backwards",
        lambda d: d["_meta"]["run"].update(wall_s=-50.0),
        r"the clock stepped by -60.0 s",
    ),
    ("no meta", lambda d: d.pop("_meta"), "_meta: missing"),
    (
        "nan value",
        lambda d: d["rows"][0]["values"].update(tokens_per_s="nan"),
        "column tokens_per_s is nan",
    ),
    (
        "interval",
        lambda d: d["rows"][0]["comparisons"]["yardstick"].update(low=9.0, high=10.0),
        "lies outside its own interval",
    ),
]


@pytest.mark.parametrize(("change", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_summaries(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    row = samples.row(1, yardstick=samples.comparison())
    path = samples.save(tmp_path, row, change=change)
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_truncated_json(tmp_path: Path) -> None:
    path = samples.save(tmp_path, samples.row(1, yardstick=samples.comparison()))
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputError, match=r"t_summary\.json: not valid JSON"):
        load(path)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


BAD_CSV = [
    ("scratch_ratio", "speed", "unknown column 'speed'"),
    (",scratch_ratio", "", "column 'scratch_ratio' is missing"),
    ("op,M,tokens_per_s,scratch_ratio\r\n", "", "unknown column 'int8'"),
    ("int8,1,1000,1.1\r\nint8,2,1000,1.1\r\n", "", "no rows below the header"),
    ("int8,2,1000,1.1\r\n", "", r"missing row 't op=int8 M=2'"),
    ("int8,2,1000,1.1", "int8,3,1000,1.1", r"missing row 't op=int8 M=2'"),
    ("int8,2,1000,1.1", "int8,2,nan,1.1", "t.csv:3: column tokens_per_s is nan"),
    ("int8,2,1000,1.1", "int8,2,1000", "t.csv:3: 3 cells where the header has 4"),
    ("int8,2,1000,1.1", "int8,2,999,1.1", "not of one run"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD_CSV)
def test_bad_csv(tmp_path: Path, old: str, new: str, message: str) -> None:
    samples.save(tmp_path, samples.row(1), samples.row(2))
    read_run(tmp_path, "t")
    edit(tmp_path / "t.csv", old, new)
    with pytest.raises(InputError, match=message) as caught:
        read_run(tmp_path, "t")
    assert "t.csv" in str(caught.value)


def test_empty_csv(tmp_path: Path) -> None:
    samples.save(tmp_path, samples.row(1))
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(InputError, match=r"t\.csv: empty"):
        read_run(tmp_path, "t")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["_meta"]["hardware"].update(key="intel-6-143-avx512-8c"),
            "a baseline of other hardware: intel-6-143-avx512-8c",
        ),
        (
            lambda d: d["_meta"]["units"].update(tokens_per_s="tokens/min"),
            "the unit of tokens_per_s changed from 'tokens/min' to 'tokens/s'",
        ),
        (lambda d: d["_meta"].update(sweep="u"), "a baseline of sweep 'u', not 't'"),
    ],
)
def test_baselines_of_something_else(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    row = samples.row(1, yardstick=samples.comparison(0.5))
    old = samples.save(tmp_path / "old", row, change=change)
    folder = tmp_path / "baselines" / KEY
    folder.mkdir(parents=True)
    old.rename(folder / "t.json")
    with pytest.raises(InputError, match=message):
        settle(RULES, runs(tmp_path, 0.5), [folder.parent], every_row=True)


REFUSED = [
    (lambda d: d["_meta"]["build"].update(dirty=True), "dirty tree"),
    (lambda d: d["_meta"]["build"].update(commit=None, dirty=None), "the commit is unknown"),
    (
        lambda d: d["_meta"]["build"].update(optimized=False, compilation_mode="fastbuild or dbg"),
        r"not an optimised build \(compilation mode fastbuild or dbg\)",
    ),
    (
        lambda d: d["rows"][0]["comparisons"]["yardstick"].update(aa_spread=0.08),
        "noisy run: A/A spread 8.0 % in row 't op=int8 M=1'",
    ),
    (lambda d: d["_meta"]["build"].update(planted_slowdown_pct=10), "10 % is planted"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_refused_baselines(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    path = samples.save(tmp_path, samples.row(1, yardstick=samples.comparison()), change=change)
    target = tmp_path / "baseline.json"
    with pytest.raises(store.BaselineError, match=message):
        store.write(load(path), target, "because")
    assert not target.exists()


def test_noisy_rows_are_measured_again(tmp_path: Path) -> None:
    quiet, noisy = samples.comparison(0.5), samples.comparison(0.4, spread=0.05)
    other = {"yardstick": quiet, "f32": noisy}  # which no baseline is held against
    first = load(
        samples.save(tmp_path / "a", samples.row(1, **other), samples.row(2, yardstick=noisy))
    )
    assert [r.key["M"] for r in store.noisy_rows(first, "yardstick", 0.02)] == ["2"]
    with pytest.raises(store.BaselineError, match=r"5\.0 % in row 't op=int8 M=2'"):
        store.write(first, tmp_path / "b.json", "because")
    again = load(samples.save(tmp_path / "b", samples.row(2, yardstick=quiet)))
    both = store.merged(first, again, tmp_path / "merged.json")
    store.write(both, tmp_path / "b.json", "because")
    rows = load(tmp_path / "b.json").rows
    assert [r.comparisons["yardstick"].aa_spread for r in rows] == [quiet["aa_spread"]] * 2


def test_a_baseline_needs_a_reason(tmp_path: Path) -> None:
    path = samples.save(tmp_path, samples.row(1, yardstick=samples.comparison()))
    with pytest.raises(store.BaselineError, match="--reason"):
        store.write(load(path), tmp_path / "baseline.json", " ")


def test_a_gate_may_tolerate_more(tmp_path: Path, baselines: Path) -> None:
    rules = replace(RULES, tolerance=0.1)
    settled, _ = settle(rules, runs(tmp_path, 0.47), [baselines], True, say=lambda _: None)
    assert overall(settled) is Outcome.PASS
    settled, _ = settle(rules, runs(tmp_path, 0.44, 0.44), [baselines], True, say=lambda _: None)
    assert overall(settled) is Outcome.FAIL


def test_what_the_interval_leaves_open_is_measured_again(tmp_path: Path, baselines: Path) -> None:
    def of(first: float, *then: float) -> Outcome:
        order = [runs(tmp_path, first, error=0.008), *[runs(tmp_path, r) for r in then]]
        return outcome(lambda only: order.pop(0)(only), baselines)

    assert of(0.48, 0.47, 0.47) is Outcome.FAIL
    assert of(0.48, 0.5) is Outcome.PASS
    assert of(0.48, 0.47, 0.5) is Outcome.PASS
