"""`infeng inspect --estimate` against what an engine at work really takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infeng import models
from infeng.convert import Recipe, convert
from infeng.sched import Limits
from infeng.testing import families
from infeng.testing.command import infeng_json
from infeng.testing.small_model import write_json

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


def test_a_second_window_takes_a_second_copy_of_the_queries(tmp_path: Path) -> None:
    def activations(name: str, layer_types: list[str]) -> int:
        source = families.write("gemma2", tmp_path / name)
        config = json.loads((source / "config.json").read_text())
        write_json(source / "config.json", config | {"layer_types": layer_types})
        convert(source, tmp_path / f"{name}.infq", Recipe())
        shown = infeng_json("inspect", tmp_path / f"{name}.infq", "--estimate", 1, 16)
        found: int = shown["estimate"]["activations"]
        heads = config["num_attention_heads"]
        queries[:] = [Limits.step_tokens * heads * (2 * config["head_dim"] + 4)]
        return found

    queries: list[int] = []
    full, sliding = "full_attention", "sliding_attention"
    one = activations("one", [full] * 3)
    assert activations("all", [sliding] * 3) == one
    assert activations("two", [sliding, full, sliding]) == one + queries[0]
