"""Each family against what transformers (and peft) compute: tools/golden/make_families.py."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from infeng.adapter.peft import load_peft
from infeng.convert import Recipe, convert
from infeng.convert.config import ModelConfig
from infeng.convert.families import from_huggingface
from infeng.errors import InputError
from infeng.native import Engine, choose_tier
from infeng.testing import families, seeded

FOLDER = families.FOLDER
CASES = sorted(path.name for path in FOLDER.iterdir())
PROMPT = 48
ROWS = slice(3, PROMPT, 4)
# Sequences longer than max_position_embeddings have another RoPE; dynamic: each length its own.
CONTEXTS = {"llama_dynamic_long": PROMPT, "phi3_longrope_long": 128}


class Golden:
    """The files of a case, and the folders that it was made of."""

    def __init__(self, name: str, folder: Path) -> None:
        self.tensors, metadata = families.golden(name)
        self.source = families.write(name, folder / name)
        self.adapter = folder / "adapter"
        self.adapter.mkdir()
        lora = json.loads(metadata["adapter_shapes"])
        matrices = {k: seeded.adapter(k, tuple(v)) for k, v in lora.items()}
        shutil.copy(FOLDER / name / "adapter_config.json", self.adapter)
        save_file(matrices, self.adapter / "adapter_model.safetensors")


def logits(engine: Engine, ids: list[int], adapter: int, pieces: int = 1) -> NDArray[np.float32]:
    """Those of all ids, read in so many steps."""
    sequence = engine.new_sequence()
    parts = np.array_split(np.array(ids, np.uint32), pieces)
    rows = [engine.step([(sequence, part, adapter)], all_logits=True) for part in parts]
    engine.free_sequence(sequence)
    return np.concatenate(rows)


def greedy(engine: Engine, ids: list[int], adapter: int, count: int) -> list[int]:
    sequence = engine.new_sequence()
    new: list[int] = []
    feed = ids
    for _ in range(count):
        row = engine.step([(sequence, np.array(feed, np.uint32), adapter)])
        new.append(int(row[-1].argmax()))
        feed = new[-1:]
    engine.free_sequence(sequence)
    return new


def add_adapter(engine: Engine, golden: Golden) -> int:
    config = ModelConfig.from_header(json.loads(engine.header)["config"])
    adapter = load_peft(golden.adapter, config)
    targets = [(t.layer, t.module, t.a, t.b, t.scale) for t in adapter.targets]
    return engine.add_adapter("lora", targets)


@pytest.mark.parametrize("name", CASES)
def test_logits_and_answers_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    golden = Golden(name, tmp_path)
    out = tmp_path / "m.infq"
    convert(golden.source, out, Recipe("f32"), context=CONTEXTS.get(name))
    engine = Engine(str(out), kv_dtype="f32")
    ids = seeded.prompt(PROMPT, engine.vocab_size)
    lora = add_adapter(engine, golden)
    for adapter, key in ((-1, "logits"), (lora, "adapted")):
        ours = logits(engine, ids, adapter)
        worst = float(np.abs(ours[ROWS] - golden.tensors[key]).max())
        assert worst < 1e-4, key
        assert np.array_equal(ours, logits(engine, ids, adapter, pieces=7))
    if name != "llama_dynamic_long":
        assert greedy(engine, ids, -1, 16) == golden.tensors["greedy"].tolist()
        assert greedy(engine, ids, lora, 16) == golden.tensors["adapted_greedy"].tolist()


@pytest.mark.parametrize("name", CASES)
def test_the_default_recipe_stays_close(tmp_path: Path, name: str) -> None:
    golden = Golden(name, tmp_path)
    out = tmp_path / "m.infq"
    convert(golden.source, out, Recipe(), context=CONTEXTS.get(name))
    engine = Engine(str(out))
    ours = logits(engine, seeded.prompt(PROMPT, engine.vocab_size), -1)[ROWS]
    theirs = golden.tensors["logits"]
    error = float(np.sqrt(np.square(ours - theirs).mean() / np.square(theirs).mean()))
    # Only a check that int8 computes the same model: random weights lose up to 12 %, another
    # computation gives more than 100 %.
    assert error < 0.2


@pytest.mark.parametrize("tier", ["scalar", "avx2", "avx512", "amx"])
@pytest.mark.parametrize("name", CASES)
def test_the_bits_are_those_of_every_tier(tmp_path: Path, name: str, tier: str) -> None:
    """Windows, norms of heads, layers without RoPE, biases: alike in any division of the work."""
    try:
        choose_tier(tier)
    except (ValueError, RuntimeError) as e:
        pytest.skip(str(e))
    golden = Golden(name, tmp_path)
    out = tmp_path / "m.infq"
    convert(golden.source, out, Recipe(), context=CONTEXTS.get(name))
    for kv in ("int8", "f16"):
        base = Engine(str(out), kv_dtype=kv, threads=1, force_path="scalar")
        ids = seeded.prompt(PROMPT, base.vocab_size)
        plain = logits(base, ids, -1)
        adapted = logits(base, ids, add_adapter(base, golden))
        assert plain.tobytes() != adapted.tobytes()
        for threads in (1, 3):
            engine = Engine(str(out), kv_dtype=kv, threads=threads, force_path=tier)
            lora = add_adapter(engine, golden)
            for pieces in (1, 5, PROMPT):
                assert logits(engine, ids, -1, pieces).tobytes() == plain.tobytes()
                assert logits(engine, ids, lora, pieces).tobytes() == adapted.tobytes()
            # Both in one batch: each row as if alone.
            batch = [(engine.new_sequence(), np.array(ids, np.uint32), a) for a in (lora, -1)]
            rows = engine.step(batch)
            assert rows[0].tobytes() == adapted[-1].tobytes()
            assert rows[1].tobytes() == plain[-1].tobytes()


def read(name: str, **changes: Any) -> ModelConfig:
    """The configuration of a case, with changes; a value of ... removes the key."""
    values: dict[str, Any] = json.loads((FOLDER / name / "config.json").read_text()) | changes
    values = {k: v for k, v in values.items() if v is not ...}
    return from_huggingface(values, "config.json", {}, "generation_config.json")[0]


def test_what_older_versions_wrote_means_the_same() -> None:
    """Before version 5: rope_theta and rope_scaling, and layers by rule, not by list."""
    llama3 = json.loads((FOLDER / "llama3/config.json").read_text())["rope_parameters"]
    theta = llama3.pop("rope_theta")
    old = {"rope_parameters": ..., "rope_theta": theta, "rope_scaling": llama3}
    assert read("llama3", **old) == read("llama3")
    assert read("gemma2", layer_types=...) == read("gemma2")
    gemma3 = {
        "rope_parameters": ..., "layer_types": ..., "sliding_window_pattern": 3,
        "rope_theta": 1e6, "rope_local_base_freq": 1e4,
        "rope_scaling": {"rope_type": "linear", "factor": 4.0},
    }  # fmt: skip
    assert read("gemma3", **gemma3) == read("gemma3")
    assert read("qwen2_sliding", layer_types=...) == read("qwen2_sliding")
    assert read("smollm3", no_rope_layers=...) == read("smollm3")
    old = {"rope_parameters": ..., "rope_theta": 1e4, "rope_scaling": None}
    assert read("phi3", **old) == read("phi3")


def test_a_header_gives_the_configuration_back() -> None:
    for name in CASES:
        config = read(name)
        assert ModelConfig.from_header(json.loads(json.dumps(config.header()))) == config
    assert read("llama", attention_bias=False, mlp_bias=False).architecture == "llama"
    assert read("llama").architecture == "decoder"


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "llama",
            {"model_type": "mamba"},
            "'mamba' is not supported, only 'gemma2', 'gemma3_text'",
        ),
        ("llama", {"architectures": ["LlamaForX"]}, "architectures: ['LlamaForX']"),
        ("qwen2", {"num_experts": 8}, "num_experts: 8"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention: True"),
        ("gemma2", {"hidden_activation": "gelu"}, "hidden_activation: 'gelu'"),
        ("phi3", {"attention_bias": True}, "attention_bias: True"),
        ("phi3", {"partial_rotary_factor": 0.75}, "partial_rotary_factor: 0.75"),
        ("llama", {"sliding_window": 128}, "sliding_window: 128"),
        ("mistral", {"sliding_window": -1}, "sliding_window: expected an integer from 1"),
        ("qwen3", {"head_dim": 24}, "head_dim: 24 is no multiple of 16"),
        ("gemma2", {"layer_types": ["full_attention"]}, "layer_types: expected 3 of"),
        ("smollm3", {"no_rope_layers": [1, 2, 1]}, "no_rope_layers: expected 3 of 0 and 1"),
        ("llama", {"rope_parameters": {"rope_type": "x", "rope_theta": 1e4}}, "rope_type: 'x'"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "linear", "factor": 0.0, "rope_theta": 1e4}},
            "factor: 0.0 is not positive",
        ),
        (
            "phi3",
            {"rope_parameters": {"rope_type": "longrope", "short_factor": [1], "rope_theta": 1e4}},
            "short_factor: expected 8 positive numbers",
        ),
        ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 0.5}}, "rope_theta"),
    ],
)
def test_what_no_family_has_is_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as e:
        read(name, **changes)
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def test_a_fused_target_and_its_part_are_refused(tmp_path: Path) -> None:
    golden = Golden("phi3", tmp_path)
    convert(golden.source, tmp_path / "m.infq", Recipe())
    engine = Engine(str(tmp_path / "m.infq"))
    with safe_open(golden.adapter / "adapter_model.safetensors", "numpy") as file:
        matrices = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    a = next(k for k in matrices if "layers.0.self_attn.qkv_proj.lora_A" in k)
    part = a.replace("qkv_proj", "q_proj")
    matrices[part] = matrices[a]
    matrices[part.replace("lora_A", "lora_B")] = np.zeros((64, 4), np.float32)
    save_file(matrices, golden.adapter / "adapter_model.safetensors")
    with pytest.raises(InputError, match="qkv_proj': q_proj is there too"):
        add_adapter(engine, golden)
