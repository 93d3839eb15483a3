"""The driver against real processes and functions: it counts, calibrates, interleaves, stops."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perf.driver import machine, sweep
from perf.driver.cores import Watch, choose_cores
from perf.driver.pairs import Pair, Plan, measure
from perf.driver.tasks import BenchProgram, MeasureError, PythonProgram, Task
from perf.gate.gate import read_run

SHORT = Plan(slice_s=0.001, blocks=8, min_epochs=3, max_epochs=3, precision=1.0)
BENCH = BenchProgram(machine.PEAKS_BENCH, ("--force_path=scalar",))


def spin(seconds: float) -> Callable[[], None]:
    def function() -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    return function


def test_a_slice_of_a_process() -> None:
    session = BENCH.start(choose_cores(1))
    try:
        one, four = session.slice("Int8Mac", 1), session.slice("Int8Mac", 64)
        assert (one.iterations, four.iterations) == (1, 64)
        assert one.counts["ops"] == four.counts["ops"] > 0
        assert four.cpu_s > 0
        # Names are literal, not patterns.
        with pytest.raises(MeasureError, match=r"no benchmark is called \.\*"):
            session.slice(".*", 1)
        assert session.slice("Read/bytes:16384", 3).counts["bytes"] == 16384
    finally:
        session.close()


def test_a_process_that_will_not_start_says_why() -> None:
    with pytest.raises(MeasureError, match="force_path=mmx: expected auto, scalar"):
        BenchProgram(machine.PEAKS_BENCH, ("--force_path=mmx",)).start(())
    with pytest.raises(MeasureError, match="cannot start"):
        BenchProgram(Path("/nonexistent")).start(())


def test_it_tells_build_and_machine() -> None:
    told = machine.describe()
    assert told["hardware"]["key"].count("-") >= 4
    assert told["hardware"]["tiers"]["scalar"] == ""
    assert told["build"]["optimized"], "benchmarks must be measured with -c opt"


def test_the_ratio_of_known_work() -> None:
    program = PythonProgram(lambda: {"ours": spin(0.0005), "reference": spin(0.001)})
    pair = Pair("spin", Task(program, "ours"), Task(program, "reference"))
    (result,) = measure([pair], SHORT, Watch())
    estimate = result.estimate()
    assert estimate.ratio == pytest.approx(2.0, rel=0.15)
    assert (estimate.epochs, estimate.blocks) == (3, 24)


def test_work_is_compared_per_unit() -> None:
    program = PythonProgram(
        lambda: {"a": lambda: spin(0.0005)() or {"tokens": 10}, "b": spin(0.0005)}
    )
    pair = Pair("units", Task(program, "a", work="tokens"), Task(program, "b", work=5.0))
    (result,) = measure([pair], SHORT, Watch())
    assert result.estimate().ratio == pytest.approx(2.0, rel=0.15)
    assert result.counts == {"tokens": 10}
    nothing = Pair("nothing", Task(program, "b", work="tokens"), Task(program, "b"))
    with pytest.raises(MeasureError, match="no count 'tokens'"):
        measure([nothing], SHORT, Watch())


def test_each_epoch_starts_anew_and_the_mask_comes_back() -> None:
    before = os.sched_getaffinity(0)
    starts, ends = [], []

    def setup() -> dict[str, Callable[[], None]]:
        starts.append(os.sched_getaffinity(0))
        return {"x": spin(0.0005)}

    program = PythonProgram(setup, lambda: ends.append(1))
    pair = Pair("x", Task(program, "x"), Task(program, "x"))
    (result,) = measure([pair], SHORT, Watch())
    assert len(starts) == len(ends) == len(result.epochs) == 3
    assert all(len(mask) == 1 for mask in starts)
    assert os.sched_getaffinity(0) == before


def test_it_goes_on_until_the_ratio_is_known() -> None:
    random = np.random.default_rng(0)

    def noisy() -> None:
        spin(0.0003 * float(np.exp(random.normal(0, 0.3))))()

    program = PythonProgram(lambda: {"x": noisy})
    pair = Pair("noisy", Task(program, "x"), Task(program, "x"))
    strict = Plan(slice_s=0.0003, blocks=8, min_epochs=2, max_epochs=5, precision=1e-6)
    (result,) = measure([pair], strict, Watch())
    assert len(result.epochs) == 5


def test_a_sweep_writes_what_the_gate_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    program = PythonProgram(lambda: {"x": spin(0.0005)})

    def rows(lab: sweep.Lab, _: object) -> list[sweep.Row]:
        made = []
        for m in (1, 2):
            row = sweep.Row("toy", {"path": lab.hardware["tier"], "M": m, "speed": 0.5})
            if lab.wants(sweep.row_name(toy, "toy", row.values)):
                (result,) = lab.measure([Pair("x", Task(program, "x"), Task(program, "x"))])
                row.compare("yardstick", result)
                made.append(row)
        made.append(sweep.Row("toy", {"path": "avx9", "M": 1}, skipped="this CPU lacks avx9"))
        return made

    toy = sweep.Sweep(
        "toy", "A toy.", {"toy": ("path", "M", "speed")}, {"toy": ("path", "M")}, {}, rows,
        quick=SHORT, full=SHORT,
    )  # fmt: skip
    assert sweep.main(toy, ["--quick", "--out=reports"]) == 0
    assert capsys.readouterr().out.split() == ["reports/toy.csv", "reports/toy_summary.json"]
    summary = read_run(tmp_path / "reports", "toy")
    assert [r.skipped for r in summary.rows] == ["", "", "this CPU lacks avx9"]
    assert summary.rows[0].comparisons["yardstick"].blocks == 24
    assert summary.meta["hardware"]["peaks"]["int8_gops"]["scalar"] > 1
    only = f"--only={summary.rows[1].name}"
    assert sweep.main(toy, ["--quick", only, "--out=one/toy.csv"]) == 0
    assert [r.key["M"] for r in read_run(tmp_path / "one", "toy").rows] == ["2", "1"]
    assert sweep.main(toy, ["--out=one/other.csv"]) == 2
    assert "the tables are toy" in capsys.readouterr().err


def test_not_a_number_becomes_null() -> None:
    text = json.dumps(sweep._no_nan({"a": [float("nan"), 1.0]}), allow_nan=False)
    assert text == '{"a": [null, 1.0]}'
