import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType as Kind
from safetensors.numpy import save_file

from infeng.convert import Recipe, convert, open_source
from infeng.convert.gguf_file import GgufFile
from infeng.convert.quantize import dequantize_int8, quantize_int4, quantize_int8
from infeng.errors import InputError, UsageError
from infeng.native import infq_section, read_infq, xxh3_64
from infeng.testing import small_model as small


def bf16_bits(values: Any) -> Any:
    """The nearest bfloat16, as bits."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def bf16_values(values: Any) -> Any:
    return (bf16_bits(values).astype(np.uint32) << 16).view(np.float32)


def write_bf16_safetensors(path: Path, weights: small.Weights) -> None:
    """numpy has no bfloat16, so the library cannot write it from numpy: written by hand."""
    header: dict[str, Any] = {}
    data = b""
    for name, values in weights.items():
        raw = bf16_bits(values).tobytes()
        header[name] = {
            "dtype": "BF16",
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a).view(np.uint32), np.asarray(b).view(np.uint32)))


@pytest.mark.parametrize("tied", [True, False])
def test_f32_keeps_every_bit(tmp_path: Path, tied: bool) -> None:
    weights = small.random_weights(tied=tied)
    source = small.write_huggingface(tmp_path / "hf", weights)
    out = tmp_path / "m.infq"
    convert(source, out, Recipe("f32"))
    file = small.PlainInfq(out)
    assert set(file.tensors) == set(weights)
    for name, values in weights.items():
        assert same(file.weights(name), values), name
        assert file.tensors[name]["dtype"] == "f32"


@pytest.mark.parametrize("group", [32, 64])
@pytest.mark.parametrize("tied", [True, False])
def test_int8_is_what_quantize_gives(tmp_path: Path, tied: bool, group: int) -> None:
    weights = small.random_weights(tied=tied)
    source = small.write_huggingface(tmp_path / "hf", weights)
    out = tmp_path / "m.infq"
    convert(source, out, Recipe("int8", group))
    file = small.PlainInfq(out)
    two_digits = set()
    for name, values in weights.items():
        if values.ndim == 1:
            assert same(file.weights(name), values), name
            continue
        padded = np.zeros((len(values), -(-values.shape[1] // group) * group), np.float32)
        padded[:, : values.shape[1]] = values
        expected = dequantize_int8(*quantize_int8(padded, group), group)[:, : values.shape[1]]
        assert same(file.weights(name), expected), name
        assert file.tensors[name]["group"] == group
        if file.tensors[name]["activation_digits"] == 2:
            two_digits.add(name)
    head = "model.embed_tokens.weight" if tied else "lm_head.weight"
    values_of = {f"model.layers.{i}.self_attn.v_proj.weight" for i in range(small.LAYERS)}
    assert two_digits == values_of | {head}


def test_int4_fits_the_layers_and_keeps_the_rest_in_int8(tmp_path: Path) -> None:
    weights = small.random_weights(tied=False)
    source = small.write_huggingface(tmp_path / "hf", weights)
    out = tmp_path / "m.infq"
    errors = convert(source, out, Recipe("int4"), measure_errors=True).errors
    file = small.PlainInfq(out)
    for name, values in weights.items():
        dtype = file.tensors[name]["dtype"]
        if values.ndim == 1:
            assert dtype == "f32"
            continue
        assert dtype == ("u4" if name.startswith("model.layers.") else "i8")
        padded = np.zeros((len(values), -(-values.shape[1] // 32) * 32), np.float32)
        padded[:, : values.shape[1]] = values
        if dtype == "u4":
            assert same(file.weights(name), quantize_int4(padded).weights()[:, : values.shape[1]])
    read_infq(str(out))
    assert {e.tensor for e in errors} == set(weights)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1"])
def test_four_bit_blocks_come_as_they_are(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "m.gguf"
    small.write_gguf(source, small.random_weights(), Kind[kind])
    out = tmp_path / "m.infq"
    convert(source, out, Recipe("int4"))
    file = small.PlainInfq(out)
    exact = open_source(source)
    for name, entry in file.tensors.items():
        if entry["dtype"] == "u4":
            assert np.array_equal(file.weights(name), exact.rows(name, 0, entry["shape"][0])), name


def test_int4_refuses_what_binary16_cannot_hold(tmp_path: Path) -> None:
    weights = small.random_weights()
    name = "model.layers.0.mlp.up_proj.weight"
    weights[name] = weights[name] * np.float32(1e7)
    source = small.write_huggingface(tmp_path / "hf", weights)
    fails(source, f"{name!r}: int4 keeps scales in binary16", Recipe("int4"))


def test_the_header_tells_all(tmp_path: Path) -> None:
    source = small.write_huggingface(tmp_path / "hf", small.random_weights())
    out = tmp_path / "m.infq"
    result = convert(source, out, Recipe())
    header = json.loads(read_infq(str(out)))  # the engine's reader agrees with the writer
    assert header == small.PlainInfq(out).header
    assert header["config"]["head_dim"] == small.HEAD_DIM
    assert header["config"]["eos_token_ids"] == [2]
    assert header["recipe"] == "int8"
    assert [s["file"] for s in header["source"]] == [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
    ]
    assert infq_section(str(out), "tokenizer.json") == (source / "tokenizer.json").read_bytes()
    assert infq_section(str(out), "chat_template") == small.CHAT_TEMPLATE.encode()
    assert result.bytes == out.stat().st_size == len(out.read_bytes())
    entries = [e for t in header["tensors"] for e in (t["data"], t.get("scale")) if e]
    for entry in entries + header["sections"]:
        assert entry["offset"] % 64 == 0
        section = out.read_bytes()[entry["offset"] : entry["offset"] + entry["bytes"]]
        assert entry["xxh3"] == f"{xxh3_64(section):016x}"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = small.write_huggingface(tmp_path / "hf", small.random_weights())
    convert(source, tmp_path / "a.infq", Recipe())
    os.utime(source / "model.safetensors", (1, 1))
    convert(source, tmp_path / "b.infq", Recipe(), measure_errors=True)
    assert (tmp_path / "a.infq").read_bytes() == (tmp_path / "b.infq").read_bytes()


def test_halves_and_shards(tmp_path: Path) -> None:
    weights = small.random_weights(tied=False)
    folder = small.write_huggingface(tmp_path / "hf", weights)
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    save_file({n: weights[n].astype(np.float16) for n in names[::2]}, folder / "a.safetensors")
    write_bf16_safetensors(folder / "b.safetensors", {n: weights[n] for n in names[1::2]})
    index = {n: part for part, listed in parts.items() for n in listed}
    small.write_json(folder / "model.safetensors.index.json", {"weight_map": index})
    convert(folder, tmp_path / "m.infq", Recipe("f32"))
    file = small.PlainInfq(tmp_path / "m.infq")
    for i, name in enumerate(names):
        exact = bf16_values(weights[name]) if i % 2 else weights[name].astype(np.float16)
        assert same(file.weights(name), exact.astype(np.float32)), name


@pytest.mark.parametrize(
    "kind",
    [Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1],
)
def test_gguf_gives_the_weights_of_its_blocks(tmp_path: Path, kind: Kind) -> None:
    weights = small.random_weights()
    source = small.write_gguf(tmp_path / "m.gguf", weights, kind)
    convert(source, tmp_path / "m.infq", Recipe("f32"))
    file = small.PlainInfq(tmp_path / "m.infq")
    for name, values in weights.items():
        if values.ndim == 2:
            # Rows are quantised one by one, so their order does not matter.
            values = gguf.quants.dequantize(gguf.quants.quantize(values, kind), kind)
        assert same(file.weights(name), values.astype(np.float32)), name


def test_gguf_and_huggingface_give_the_same_model(tmp_path: Path) -> None:
    weights = small.random_weights(tied=False)
    convert(small.write_gguf(tmp_path / "m.gguf", weights), tmp_path / "a.infq", Recipe())
    folder = small.write_huggingface(tmp_path / "hf", weights)
    convert(folder, tmp_path / "b.infq", Recipe())
    a, b = small.PlainInfq(tmp_path / "a.infq"), small.PlainInfq(tmp_path / "b.infq")
    eps = a.header["config"].pop("rms_norm_eps"), b.header["config"].pop("rms_norm_eps")
    assert eps[0] == np.float32(eps[1])  # GGUF has it in single precision
    assert a.header["config"] == b.header["config"]
    assert a.text("chat_template") == b.text("chat_template")
    for name in weights:
        assert same(a.weights(name), b.weights(name)), name


def test_our_gguf_reader_agrees_with_the_library(tmp_path: Path) -> None:
    path = small.write_gguf(tmp_path / "m.gguf", small.random_weights(), Kind.Q8_0)
    ours, theirs = GgufFile(path), gguf.GGUFReader(path)
    fields = {k: f.contents() for k, f in theirs.fields.items() if not k.startswith("GGUF.")}
    assert ours.metadata == fields
    assert {(n, t.start, t.type) for n, t in ours.tensors.items()} == {
        (t.name, t.data_offset, t.tensor_type) for t in theirs.tensors
    }


def test_the_report_measures_errors(tmp_path: Path) -> None:
    weights = small.random_weights()
    source = small.write_huggingface(tmp_path / "hf", weights)
    result = convert(source, tmp_path / "m.infq", Recipe(), measure_errors=True)
    file = small.PlainInfq(tmp_path / "m.infq")
    assert [e.tensor for e in result.errors] == [t["name"] for t in file.header["tensors"]]
    for e in result.errors:
        difference = weights[e.tensor].astype(np.float64) - file.weights(e.tensor)
        rms = np.sqrt(np.square(difference).mean() / np.square(weights[e.tensor]).mean())
        assert e.max_abs_err == pytest.approx(np.abs(difference).max(), rel=1e-9)
        assert e.rel_rms_err == pytest.approx(rms, rel=1e-5)
        assert 8 <= e.bits_per_weight <= 32


def fails(source: Path, message: str, recipe: Recipe | None = None) -> None:
    """Converting fails with a message that has `message` in it, and leaves nothing."""
    folder = source.parent / "out"
    folder.mkdir(exist_ok=True)
    with pytest.raises(InputError) as e:
        convert(source, folder / "m.infq", recipe or Recipe())
    assert message in str(e.value)
    assert "\n" not in str(e.value)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "config.json: model_type: 'mamba'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "low_freq_factor: missing"),
        ({"attention_bias": True}, "self_attn.q_proj.bias' is missing"),
        ({"sliding_window": 128}, "sliding_window: 128"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"hidden_act": "gelu"}, "hidden_act: 'gelu'"),
        ({"hidden_size": "64"}, "hidden_size: expected an integer"),
        ({"num_key_value_heads": 3}, "num_key_value_heads: 3 does not divide"),
        ({"num_hidden_layers": 1 << 40}, "num_hidden_layers"),
        ({"num_hidden_layers": 3}, "tensor 'model.layers.2.input_layernorm.weight' is missing"),
        ({"num_hidden_layers": 1}, "tensor 'model.layers.1."),
        ({"intermediate_size": 100}, "shape [64, 96] where config.json gives [64, 100]"),
        ({"vocab_size": 10**9}, "vocab_size"),
        ({"eos_token_id": 99999}, "eos_token_ids: 99999"),
        ({"rms_norm_eps": -1.0}, "rms_norm_eps"),
        ({"rope_theta": None}, "rope_theta: missing"),
        ({"tie_word_embeddings": False}, "tensor 'lm_head.weight' is missing"),
    ],
)
def test_what_config_json_cannot_say(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    fails(small.write_huggingface(tmp_path / "hf", small.random_weights(), **change), message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.1.mlp.up_proj.weight"])
def test_weights_must_be_finite(tmp_path: Path, value: float, name: str) -> None:
    weights = small.random_weights()
    weights[name].flat[17] = value
    for recipe in (Recipe("int8"), Recipe("f32")):
        source = small.write_huggingface(tmp_path / "hf", weights)
        fails(source, f"{name!r}: has a weight that is NaN or infinite", recipe)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"llama__rope__scaling__type": ("add_string", "yarn")}, "llama.rope.scaling.type: 'yarn'"),
        ({"llama__expert_count": ("add_uint32", 8)}, "llama.expert_count: 8"),
        ({"llama__surprise": ("add_uint32", 1)}, "llama.surprise: is not supported"),
        ({"llama__a\nb\x1b[2J": ("add_uint32", 1)}, r"'llama.a\nb\x1b[2J': is not supported"),
        ({"split__count": ("add_uint16", 2)}, "split.count"),
        ({"pre": "falcon"}, "tokenizer.ggml.pre: 'falcon' is not supported"),
        ({"tokenizer__ggml__add_space_prefix": ("add_bool", True)}, "add_space_prefix: True"),
    ],
)
def test_what_gguf_cannot_say(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    fails(small.write_gguf(tmp_path / "m.gguf", small.random_weights(), **changes), message)


def test_gguf_tensors_must_fit(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    weights = small.random_weights()
    extra = weights | {"model.layers.0.mlp.extra.weight": np.zeros((4, 32), np.float32)}
    fails(small.write_gguf(path, extra), "tensor 'blk.0.ffn_extra.weight' is none of the tensors")
    missing = {n: w for n, w in weights.items() if "0.mlp.up" not in n}
    fails(small.write_gguf(path, missing), "tensor 'blk.0.ffn_up.weight' is missing")
    name = "model.layers.0.mlp.up_proj.weight"
    wrong = weights | {name: np.zeros((96, 32), np.float32)}
    fails(small.write_gguf(path, wrong), "has shape [96, 32] where the metadata gives [96, 64]")


def test_a_second_head_of_a_tied_model_must_be_the_embedding(tmp_path: Path) -> None:
    weights = small.random_weights()
    head = {"lm_head.weight": weights["model.embed_tokens.weight"].copy()}
    folder = small.write_huggingface(tmp_path / "hf", weights | head, tie_word_embeddings=True)
    convert(folder, tmp_path / "m.infq", Recipe())
    head["lm_head.weight"][5, 5] += 1
    small.write_huggingface(tmp_path / "hf", weights | head, tie_word_embeddings=True)
    fails(folder, "'lm_head.weight': differs from 'model.embed_tokens.weight'")


def test_texts_are_checked(tmp_path: Path) -> None:
    folder = small.write_huggingface(tmp_path / "hf", small.random_weights())
    small.write_json(folder / "tokenizer_config.json", {"chat_template": "{% if %}"})
    fails(folder, "chat template: Expected an expression")
    small.write_json(folder / "tokenizer_config.json", {})
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    fails(folder, "tokenizer")


def test_recipes_are_checked() -> None:
    for recipe in (("int5", 32), ("int8", 0), ("int8", 48), ("int8", 2048)):
        with pytest.raises(UsageError):
            Recipe(*recipe)


def test_out_is_not_the_source(tmp_path: Path) -> None:
    path = small.write_gguf(tmp_path / "m.gguf", small.random_weights())
    before = path.read_bytes()
    with pytest.raises(InputError, match="is the source itself"):
        convert(path, path, Recipe())
    with pytest.raises(InputError, match="not a regular file"):
        convert(path, tmp_path, Recipe())
    assert path.read_bytes() == before


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the system refuses in the same call."""
    path = small.write_gguf(tmp_path / "m.gguf", small.random_weights())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        fails(path, "cannot write: File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupting_leaves_nothing(tmp_path: Path, sign: signal.Signals, code: int) -> None:
    """The progress of the real command is made to wait, so that the signal finds it busy."""
    path = small.write_gguf(tmp_path / "m.gguf", small.random_weights())
    folder = tmp_path / "out"
    folder.mkdir()
    program = (
        "import sys, time\n"
        "from infeng.cli.commands import convert\n"
        "real = convert.convert\n"
        "def slow(*args, progress, **kwargs):\n"
        "    def wait(done, total, tensor):\n"
        "        print('busy', flush=True)\n"
        "        time.sleep(60)\n"
        "    return real(*args, progress=wait, **kwargs)\n"
        "convert.convert = slow\n"
        "from infeng.cli.main import main\n"
        f"sys.exit(main(['convert', '--in', {str(path)!r}, '--out', {str(folder / 'm')!r}]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "busy\n"
    assert list(folder.iterdir())  # the file to be
    process.send_signal(sign)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert not list(folder.iterdir())
    assert len(errors.splitlines()) == (1 if sign == signal.SIGINT else 0), errors


def test_a_failure_spoils_no_older_file(tmp_path: Path) -> None:
    path = small.write_gguf(tmp_path / "m.gguf", small.random_weights())
    out = tmp_path / "m.infq"
    convert(path, out, Recipe())
    before = out.read_bytes()
    (path.parent / "bad.gguf").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="truncated or damaged"):
        convert(path.parent / "bad.gguf", out, Recipe())
    assert out.read_bytes() == before
