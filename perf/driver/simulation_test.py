"""The gate's error rates, on noise that was recorded on a real shared machine.

noise/*.json.gz holds every slice of five pairs of the GEMM sweep (--quick --raw --epochs=40): quiet is of a
machine without other load, busy of one with a load average of 1.5 to 3.3. The driver's own loop draws whole epochs
from it instead of measuring, as many as its plan and budget give, and the gate judges, retries and all."""

import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from perf.driver import pairs
from perf.driver.cores import Watch
from perf.driver.pairs import FULL, QUICK, Pair, Plan, Result
from perf.driver.tasks import PythonProgram, Task
from perf.gate import samples
from perf.gate.gate import AGAIN_S, Rules, settle
from perf.gate.summary import Summary, load
from perf.gate.table import overall
from perf.gate.verdict import Outcome

NOISE = Path(__file__).parent / "noise"
RULES = Rules("t", "t", ())
SIMULATED = 200
# Of one pair, with its share of starting the processes.
EPOCH_S = 0.19
# The recorded pairs' share of the budget: the sweep's short form has 9 pairs, its full form 84.
_QUICK = replace(QUICK, budget_s=QUICK.budget_s * 5 / 9)
_FULL = replace(FULL, budget_s=FULL.budget_s * 5 / 84)
_TASK = Task(PythonProgram(dict), "x")

Epochs = list[NDArray[np.float64]]


class Laboratory:
    """The real driver, on epochs that are drawn instead of measured, by a clock of its own."""

    def __init__(self, name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        with gzip.open(NOISE / f"{name}.json.gz") as file:
            self.pools: dict[str, Epochs] = {
                pair: [np.asarray(e) for e in epochs] for pair, epochs in json.load(file).items()
            }
        self.slower = dict.fromkeys(self.pools, 1.0)
        self._random = np.random.default_rng(seed)
        self._now = 0.0
        monkeypatch.setattr(pairs, "_measure_epoch", self._draw)
        monkeypatch.setattr(pairs.time, "monotonic", lambda: self._now)

    def _draw(self, results: list[Result], plan: Plan, *_: object) -> None:
        for result in results:
            pool = self.pools[result.pair.name]
            blocks = pool[self._random.integers(len(pool))][: plan.blocks].copy()
            blocks[:, [0, 3]] *= self.slower[result.pair.name]
            result.epochs.append(blocks)
            self._now += EPOCH_S

    def measure(self, plan: Plan, names: Sequence[str], folder: Path) -> Summary:
        """A run of the sweep, of the rows that are called so; of all if none is named."""
        chosen = {
            i: pair for i, pair in enumerate(self.pools) if not names or f"t op=int8 M={i}" in names
        }
        made = pairs.measure([Pair(p, _TASK, _TASK) for p in chosen.values()], plan, Watch())
        comparisons = [{"against": "yardstick", **asdict(r.estimate())} for r in made]
        rows = [samples.row(i, yardstick=c) for i, c in zip(chosen, comparisons)]
        return load(samples.save(folder, *rows))


def outcomes(lab: Laboratory, slower: Mapping[str, float], folder: Path) -> Counter[Outcome]:
    """Of so many baselines, each with a run of the gate in which some pairs are slower."""
    store = folder / "baselines/amd-25-1-avx2-2c"
    store.mkdir(parents=True)
    found: Counter[Outcome] = Counter()
    runs = 0

    def measure(names: Sequence[str]) -> Summary:
        nonlocal runs
        runs += 1
        return lab.measure(replace(_QUICK, budget_s=AGAIN_S) if names else _QUICK, names, folder)

    for _ in range(SIMULATED):
        lab.slower = dict.fromkeys(lab.pools, 1.0)
        lab.measure(_FULL, [], folder).path.rename(store / "t.json")
        lab.slower |= slower
        verdicts, _ = settle(RULES, measure, [store.parent], True, say=lambda _: None)
        found[overall(verdicts)] += 1
    print({o.value: n for o, n in found.items()}, f"{runs / SIMULATED:.2f} runs each")
    return found


@pytest.mark.parametrize("name", ["quiet", "busy"])
def test_noise_alone_fails_less_than_one_run_in_a_hundred(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = outcomes(Laboratory(name, 1, monkeypatch), {}, tmp_path)
    assert found[Outcome.FAIL] < SIMULATED / 100


@pytest.mark.parametrize("rows", [1, 16])
def test_a_row_that_is_five_percent_slower_is_caught(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Laboratory("quiet", 2, monkeypatch)
    (pair,) = (p for p in lab.pools if p.startswith(f"Int8/rows:{rows}/"))
    assert outcomes(lab, {pair: 1.05}, tmp_path)[Outcome.FAIL] >= 0.95 * SIMULATED


def test_ten_percent_slower_never_passes_on_a_busy_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Laboratory("busy", 3, monkeypatch)
    assert outcomes(lab, dict.fromkeys(lab.pools, 1.10), tmp_path)[Outcome.PASS] == 0
