"""The gate's error rates, on noise that was recorded on a real shared machine.

noise/*.json.gz holds every slice of runs of the GEMM sweep (--raw). A simulated run draws whole
epochs from it, measures as long as the driver would, and goes through the gate, retries and
all."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from perf.driver.pairs import FULL, QUICK, Pair, Plan, Result, known
from perf.driver.tasks import PythonProgram, Task
from perf.gate import samples
from perf.gate.gate import Rules, settle
from perf.gate.summary import Summary, load
from perf.gate.table import overall
from perf.gate.verdict import Outcome

NOISE = Path(__file__).parent / "noise"
RULES = Rules("t", "t", ())
SIMULATED = 200
_TASK = Task(PythonProgram(dict), "x")

Epochs = list[NDArray[np.float64]]


def recorded(name: str) -> dict[str, Epochs]:
    with gzip.open(NOISE / f"{name}.json.gz") as file:
        return {pair: [np.asarray(e) for e in epochs] for pair, epochs in json.load(file).items()}


def simulate(
    pool: Epochs, plan: Plan, slowdown: float, random: np.random.Generator
) -> dict[str, Any]:
    """A comparison as the driver would have made it, ours slower by a factor."""
    result = Result(Pair("x", _TASK, _TASK))
    while len(result.epochs) < plan.max_epochs and not known(result, plan):
        epoch = pool[random.integers(len(pool))]
        block = epoch.copy()
        block[:, [0, 3]] *= slowdown
        result.epochs.append(block)
    return {"against": "yardstick", **asdict(result.estimate())}


def outcomes(name: str, slowdowns: Sequence[float], folder: Path, seed: int) -> list[Outcome]:
    """Of so many runs of the gate over all recorded pairs; slowdowns: of each pair's ours."""
    pools = recorded(name)
    random = np.random.default_rng(seed)
    found = []
    for _ in range(SIMULATED):
        rows = [
            samples.row(i, yardstick=simulate(pool, FULL, 1.0, random))
            for i, pool in enumerate(pools.values())
        ]
        (folder / "baselines/amd-25-1-avx2-2c").mkdir(parents=True, exist_ok=True)
        samples.save(folder, *rows).rename(folder / "baselines/amd-25-1-avx2-2c/t.json")

        def measure(only: Sequence[str]) -> Summary:
            made = [
                samples.row(i, yardstick=simulate(pool, QUICK, slowdown, random))
                for i, (pool, slowdown) in enumerate(zip(pools.values(), slowdowns))
            ]
            chosen = [r for r in made if not only or f"t op=int8 M={r['key']['M']}" in only]
            return load(samples.save(folder, *chosen))

        verdicts, _ = settle(RULES, measure, [folder / "baselines"], True, say=lambda _: None)
        found.append(overall(verdicts))
    return found


@pytest.mark.parametrize("name", ["quiet", "busy"])
def test_noise_alone_fails_less_than_one_run_in_a_hundred(name: str, tmp_path: Path) -> None:
    pairs = len(recorded(name))
    found = outcomes(name, [1.0] * pairs, tmp_path, seed=1)
    print(name, {o.value: found.count(o) for o in Outcome})
    assert found.count(Outcome.FAIL) < SIMULATED / 100


def test_five_percent_slower_is_caught(tmp_path: Path) -> None:
    pairs = len(recorded("quiet"))
    found = outcomes("quiet", [1.05] + [1.0] * (pairs - 1), tmp_path, seed=2)
    print({o.value: found.count(o) for o in Outcome})
    assert found.count(Outcome.FAIL) >= 0.95 * SIMULATED


def test_ten_percent_slower_never_passes_on_a_busy_machine(tmp_path: Path) -> None:
    pairs = len(recorded("busy"))
    found = outcomes("busy", [1.10] * pairs, tmp_path, seed=3)
    print({o.value: found.count(o) for o in Outcome})
    assert found.count(Outcome.PASS) == 0
