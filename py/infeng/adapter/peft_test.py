import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infeng.adapter import load_peft
from infeng.convert.families import from_huggingface
from infeng.errors import InputError
from infeng.testing import small_model as small
from infeng.testing.mutations import memory_limit, mutate, mutate_json
from infeng.testing.small_adapter import DOWN, Q, adapter_tensors, write_adapter

BASE = from_huggingface(small.config(), "config.json", {}, "")[0]


def test_targets(tmp_path: Path) -> None:
    weights = adapter_tensors()
    adapter = load_peft(write_adapter(tmp_path / "a", weights), BASE)
    assert [(t.layer, t.module) for t in adapter.targets] == [(0, "q_proj"), (1, "down_proj")]
    for target, module in zip(adapter.targets, (Q, DOWN)):
        assert np.array_equal(target.a, weights[f"{module}.lora_A.weight"])
        assert np.array_equal(target.b, weights[f"{module}.lora_B.weight"])
        assert target.a.dtype == target.b.dtype == np.float32
        assert target.scale == 2.0
    assert adapter.rank == 4


@pytest.mark.parametrize(
    ("changes", "scales"),
    [
        ({"lora_alpha": 6.0}, (1.5, 1.5)),
        ({"use_rslora": True}, (4.0, 4.0)),
        ({"alpha_pattern": {"down_proj": 4}}, (2.0, 1.0)),
        ({"alpha_pattern": {"layers.0.self_attn.q_proj": 4}}, (1.0, 2.0)),
        ({"alpha_pattern": {"^model.layers.1.mlp.down_proj": 2}}, (2.0, 0.5)),
        ({"alpha_pattern": {"proj": 4}}, (2.0, 2.0)),  # no whole part of a name
    ],
)
def test_scales(tmp_path: Path, changes: dict[str, Any], scales: tuple[float, float]) -> None:
    adapter = load_peft(write_adapter(tmp_path / "a", **changes), BASE)
    assert tuple(t.scale for t in adapter.targets) == scales


def test_ranks_by_pattern(tmp_path: Path) -> None:
    weights = adapter_tensors(4, down_rank=16)
    folder = write_adapter(tmp_path / "a", weights, rank_pattern={"down_proj": 16}, use_rslora=True)
    adapter = load_peft(folder, BASE)
    assert [(len(t.a), t.scale) for t in adapter.targets] == [(4, 4.0), (16, 2.0)]
    assert adapter.rank == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type: 'IA3'"),
        ({"use_dora": True}, "use_dora: True is not supported"),
        ({"bias": "all"}, "bias: 'all' is not supported"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: 'pissa'"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"something_new": 1}, "something_new: 1 is not supported"),
        ({"a\nb": 1}, r"'a\nb': 1 is not supported"),
        ({"r": 0}, "r: expected an integer from 1"),
        ({"r": 8}, "shape [4, 64] where the base model and rank need [8, 64]"),
        ({"lora_alpha": "x"}, "lora_alpha: expected a number"),
        ({"rank_pattern": {"(a+)+": 4}}, "rank_pattern: the pattern '(a+)+' is not supported"),
    ],
)
def test_refused_options(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as e:
        load_peft(write_adapter(tmp_path / "a", **changes), BASE)
    assert message in str(e.value)


def test_refused_tensors(tmp_path: Path) -> None:
    def fails(weights: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError) as e:
            load_peft(write_adapter(tmp_path / "a", weights), BASE)
        assert message in str(e.value)

    good = adapter_tensors()
    one = {n: w for n, w in good.items() if not n.endswith("down_proj.lora_B.weight")}
    fails(one, "'model.layers.1.mlp.down_proj': lora_B is missing")
    fails({n.replace("layers.1", "layers.2"): w for n, w in good.items()}, "only 2 layers")
    fails({n.replace("lora_A", "lora_embedding_A"): w for n, w in good.items()}, "lora_embedding_A")
    fails({n.replace("down_proj", "q_proj"): w for n, w in good.items()}, "is not supported")
    fails(good | {f"{Q}.lora_B.weight": np.zeros((32, 4), np.float32)}, "need [64, 4]")
    nan = good[f"{Q}.lora_B.weight"].copy()
    nan[3, 1] = np.nan
    fails(good | {f"{Q}.lora_B.weight": nan}, "NaN or infinite")
    fails({}, "has no tensor")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_peft(tmp_path / "none", BASE)
    folder = write_adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"adapter_model\.safetensors: cannot read"):
        load_peft(folder, BASE)


def test_random_damage(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    names = ["adapter_config.json", "adapter_model.safetensors"]
    intact = {n: (folder / n).read_bytes() for n in names}
    front = int.from_bytes(intact[names[1]][:8], "little") + 8
    source = random.Random(4)
    failed = 0
    with memory_limit():
        for i in range(3000):
            name = names[i % 2]
            if i % 2 or i % 4:
                data = mutate(intact[name], source, front)
            else:
                data = mutate_json(intact[name], source)
            (folder / name).write_bytes(data)
            try:
                adapter = load_peft(folder, BASE)
                json.dumps([t.scale for t in adapter.targets], allow_nan=False)
            except InputError as e:
                assert "\n" not in str(e) and str(folder) in str(e), e
                failed += 1
            (folder / name).write_bytes(intact[name])
    assert failed > 1500
