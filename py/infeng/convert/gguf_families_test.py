"""GGUF files of several architectures against what transformers computes (testdata/families)."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES
from gguf.constants import GGMLQuantizationType as Kind

from infeng.convert import Recipe, convert, open_source
from infeng.convert.families import from_huggingface
from infeng.convert.gguf_file import GgufFile
from infeng.errors import InputError
from infeng.native import Engine
from infeng.testing import families, seeded
from infeng.testing import small_model as small

PROMPT = 48
ROWS = slice(3, PROMPT, 4)
# The case, and what GGUF calls its architecture.
CASES = {"llama": "llama", "llama3": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}


class Golden:
    """The weights and the answers of a case."""

    def __init__(self, name: str) -> None:
        values = json.loads((families.FOLDER / name / "config.json").read_text())
        self.config = from_huggingface(values, "config.json", {}, "")[0]
        self.weights = families.weights(name)
        tensors, _ = families.golden(name)
        self.logits, self.greedy = tensors["logits"], tensors["greedy"].tolist()


def write(path: Path, golden: Golden, architecture: str, without: str = "") -> Path:
    """The GGUF file that llama.cpp's converter would write; without: a tensor to leave out."""
    c = golden.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_vocab_size(c.vocab_size)
    writer.add_rope_freq_base(c.rope_theta)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    tokens = small.TOKENS[: c.vocab_size]
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(small.SPECIAL) + [1] * (len(tokens) - len(small.SPECIAL)))
    writer.add_token_merges([m for m in small.MERGES if m.replace(" ", "") in tokens])
    if c.rope_factors:
        writer.add_tensor("rope_freqs.weight", np.array(c.rope_factors, np.float32))
    for name, values in golden.weights.items():
        theirs = small.gguf_name(name)
        if architecture == "llama" and (".q_proj." in name or ".k_proj." in name):
            values = small.permute(values, len(values) // c.head_dim)
        if theirs != without:
            writer.add_tensor(theirs, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("name", CASES)
def test_logits_and_answers_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    golden = Golden(name)
    source = write(tmp_path / "m.gguf", golden, CASES[name])
    out = tmp_path / "m.infq"
    convert(source, out, Recipe("f32"))
    engine = Engine(str(out), kv_dtype="f32")
    ids = seeded.prompt(PROMPT, engine.vocab_size)
    sequence = engine.new_sequence()
    ours = engine.step([(sequence, np.array(ids, np.uint32), -1)], all_logits=True)
    # GGUF keeps what is float64 in config.json, such as the epsilon, in float32.
    assert float(np.abs(ours[ROWS] - golden.logits).max()) < 1e-4
    found = []
    for _ in golden.greedy:
        found.append(int(ours[-1].argmax()))
        ours = engine.step([(sequence, np.array(found[-1:], np.uint32), -1)])
    assert found == golden.greedy


def test_what_an_architecture_lacks_is_named(tmp_path: Path) -> None:
    golden = Golden("qwen2")
    for without in ("blk.0.attn_k.bias", "blk.1.attn_q.bias"):
        with pytest.raises(InputError, match=f"tensor '{without}' is missing"):
            open_source(write(tmp_path / "m.gguf", golden, "qwen2", without))
    with pytest.raises(InputError, match=r"tensor 'blk\.0\.attn_q_norm\.weight' is missing"):
        open_source(write(tmp_path / "m.gguf", golden, "qwen3"))
    with pytest.raises(InputError, match="'gemma3' is not supported, only 'llama', 'qwen2'"):
        open_source(write(tmp_path / "m.gguf", golden, "gemma3"))


@pytest.mark.parametrize("factor", [0.0, float("nan"), float("inf"), -1.0])
def test_factors_of_rope_must_be_some(tmp_path: Path, factor: float) -> None:
    golden = Golden("llama3")
    object.__setattr__(golden.config, "rope_factors", (factor,) * (golden.config.head_dim // 2))
    with pytest.raises(InputError, match=r"'rope_freqs\.weight': has a factor that is not finite"):
        open_source(write(tmp_path / "m.gguf", golden, "llama"))


def blocks(kind: Kind, rows: int, columns: int) -> Any:
    """Random blocks of a type: any bits, but for the scales, which are small numbers."""
    random = np.random.default_rng(kind)
    size, block_bytes = GGML_QUANT_SIZES[kind]
    raw = random.integers(0, 256, (rows, columns // size, block_bytes), np.uint8)
    halves = {
        Kind.Q4_0: (0,), Kind.Q4_1: (0, 2), Kind.Q5_0: (0,), Kind.Q5_1: (0, 2), Kind.Q8_0: (0,),
        Kind.Q2_K: (80, 82), Kind.Q3_K: (108,), Kind.Q4_K: (0, 2), Kind.Q5_K: (0, 2),
        Kind.Q6_K: (208,),
    }[kind]  # fmt: skip
    for at in halves:
        scales = random.normal(0, 0.01, raw.shape[:2]).astype(np.float16)
        raw[..., at : at + 2] = scales[..., None].view(np.uint8)
    return raw.reshape(rows, -1)


@pytest.mark.parametrize(
    "kind",
    [
        Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0,
        Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K,
    ],
)  # fmt: skip
def test_blocks_are_what_the_library_makes_of_them(tmp_path: Path, kind: Kind) -> None:
    raw = blocks(kind, 8, 512)
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("a", np.zeros(8, np.float32))
    writer.add_tensor("b", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensor = next(t for t in gguf.GGUFReader(path).tensors if t.name == "b")
    theirs = gguf.quants.dequantize(tensor.data, kind).astype(np.float32)
    assert np.isfinite(theirs).all() and theirs.std() > 0
    rows = np.array([5, 0, 7, 3])
    ours = GgufFile(path).rows("b", rows)
    assert np.array_equal(ours.view(np.uint32), theirs[rows].view(np.uint32))
