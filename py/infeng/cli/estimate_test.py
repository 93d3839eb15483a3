"""`infeng inspect --estimate` against what an engine at work really takes."""

import json
import subprocess
import sys

import pytest

from infeng import models
from infeng.testing.command import infeng_json

N, CONTEXT = 4, 1024

# Resident bytes that a model takes from before it is opened until N contexts are full.
_GROWTH = """
import json, sys
import numpy as np
from infeng import LLM, chat  # with all that they import
from infeng.generation import SamplingParams

def resident():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))

kv, n, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
before = resident()
with LLM(kv=kv, threads=2) as llm:
    source = np.random.default_rng(0)
    params = SamplingParams(max_tokens=16, temperature=0.0, ignore_eos=True)
    answers = []
    for _ in range(n):
        ids = source.integers(100, 40_000, context - 16).astype(np.uint32)
        answers.append(llm.answer(ids, params, emit=lambda event: None))
        llm.runner.submit(answers[-1])
    llm.runner.run(lambda: all(a.finish_reason for a in answers))
    assert llm.runner.scheduler.preemptions == 0
    print(json.dumps({"growth": resident() - before, "pages": llm.engine.kv_pages_taken}))
"""


@pytest.mark.parametrize("kv", ["int8", "f16"])
def test_estimate_is_what_is_used(kv: str) -> None:
    file = models.resolve(None, None).path
    estimate = infeng_json("inspect", file, "--estimate", N, CONTEXT)["estimate"]
    wanted = estimate["total_with_kv_int8"] - estimate["kv_int8"] + estimate[f"kv_{kv}"]
    done = subprocess.run(
        [sys.executable, "-c", _GROWTH, kv, str(N), str(CONTEXT)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    used = json.loads(done.stdout)["growth"]
    print(f"{kv}: estimated {wanted / 2**20:.1f} MiB, used {used / 2**20:.1f} MiB")
    assert abs(used / wanted - 1) < 0.05, estimate
