"""Small models for tests, in each source's format, and a reader of INFQ that is not the engine's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.constants import GGMLQuantizationType
from numpy.typing import NDArray
from safetensors.numpy import save_file

Weights = dict[str, NDArray[np.float32]]

HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 64, 96, 2, 4, 2, 16
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_tokens() -> list[str]:
    """The 256 characters that stand for bytes in byte-level BPE, in order of the bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    letters = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [letters[b] for b in range(256)]


MERGES = ["Ġ t", "h e", "Ġt he", "i n"]
TOKENS = [*SPECIAL, *byte_tokens(), *(m.replace(" ", "") for m in MERGES)]
VOCAB = len(TOKENS)


def shapes(tied: bool = True) -> dict[str, tuple[int, ...]]:
    """The tensors of the small model, written out by hand."""
    result: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCAB, HIDDEN)}
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        result[p + "input_layernorm.weight"] = (HIDDEN,)
        result[p + "post_attention_layernorm.weight"] = (HIDDEN,)
        result[p + "self_attn.q_proj.weight"] = (HEADS * HEAD_DIM, HIDDEN)
        result[p + "self_attn.k_proj.weight"] = (KV_HEADS * HEAD_DIM, HIDDEN)
        result[p + "self_attn.v_proj.weight"] = (KV_HEADS * HEAD_DIM, HIDDEN)
        result[p + "self_attn.o_proj.weight"] = (HIDDEN, HEADS * HEAD_DIM)
        result[p + "mlp.gate_proj.weight"] = (FFN, HIDDEN)
        result[p + "mlp.up_proj.weight"] = (FFN, HIDDEN)
        result[p + "mlp.down_proj.weight"] = (HIDDEN, FFN)
    result["model.norm.weight"] = (HIDDEN,)
    if not tied:
        result["lm_head.weight"] = (VOCAB, HIDDEN)
    return result


def random_weights(seed: int = 0, tied: bool = True) -> Weights:
    """Weights of the small model by Hugging Face's names, float32."""
    random = np.random.default_rng(seed)
    return {
        name: (random.standard_normal(shape) * 0.1 + (len(shape) == 1)).astype(np.float32)
        for name, shape in shapes(tied).items()
    }


def tokenizer() -> dict[str, Any]:
    """A byte-level BPE tokenizer.json."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": t, **added, "special": True} for i, t in enumerate(SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {t: i for i, t in enumerate(TOKENS)},
            "merges": [m.split(" ") for m in MERGES],
        },
    }


def config(tied: bool = True) -> dict[str, Any]:
    """A config.json."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": VOCAB,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def write_huggingface(folder: Path, weights: Weights, **changes: Any) -> Path:
    """A Hugging Face folder with the weights as they are. changes: of config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tied = "lm_head.weight" not in weights
    write_json(folder / "config.json", config(tied) | changes)
    write_json(folder / "tokenizer.json", tokenizer())
    write_json(folder / "tokenizer_config.json", {"chat_template": CHAT_TEMPLATE})
    save_file(dict(weights), folder / "model.safetensors")
    return folder


def gguf_name(name: str) -> str:
    """The name that GGUF gives a tensor."""
    for ours, theirs in (
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers.", "blk."),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.", "attn_"),
        ("mlp.", "ffn_"),
        ("_proj", ""),
    ):
        name = name.replace(ours, theirs)
    return name


def permute(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """What converters to GGUF do to the rows of q and k, and to their biases."""
    n = len(weights)
    halves = weights.reshape(heads, 2, n // heads // 2, -1)
    return halves.swapaxes(1, 2).reshape(weights.shape)


def write_gguf(
    path: Path,
    weights: Weights,
    kind: GGMLQuantizationType = GGMLQuantizationType.F32,
    sentencepiece: bool = False,
    **changes: Any,
) -> Path:
    """A GGUF file; matrices are of `kind`. sentencepiece: with a tokenizer of that sort, and with
    factors of RoPE. changes: further keys as name=(method, value)."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    if sentencepiece:
        pieces = ["\u2581", "t", "h", "\u2581t"]
        writer.add_tokenizer_model("llama")
        writer.add_token_list([*SPECIAL, *(f"<0x{i:02X}>" for i in range(256)), *pieces])
        writer.add_token_types([3] * len(SPECIAL) + [6] * 256 + [1] * len(pieces))
        writer.add_token_scores([-float(i) for i in range(VOCAB)])
        writer.add_tensor("rope_freqs.weight", np.full(HEAD_DIM // 2, 2, np.float32))
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(changes.pop("pre", "gpt-2"))
        writer.add_token_list(TOKENS)
        writer.add_token_types([3] * len(SPECIAL) + [1] * (VOCAB - len(SPECIAL)))
        writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)
    for key, (method, value) in changes.items():
        getattr(writer, method)(key.replace("__", "."), value)
    for name, values in weights.items():
        if ".q_proj" in name:
            values = permute(values, HEADS)
        elif ".k_proj" in name:
            values = permute(values, KV_HEADS)
        if values.ndim == 1:
            writer.add_tensor(gguf_name(name), values)
        else:
            raw = gguf.quants.quantize(values, kind)
            writer.add_tensor(gguf_name(name), raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class PlainInfq:
    """Reads an INFQ file as docs/infq.md says, without a check."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        length = int.from_bytes(self.data[8:16], "little")
        self.header: dict[str, Any] = json.loads(self.data[64 : 64 + length])
        self.tensors = {t["name"]: t for t in self.header["tensors"]}

    def section(self, entry: dict[str, Any]) -> bytes:
        return self.data[entry["offset"] : entry["offset"] + entry["bytes"]]

    def text(self, name: str) -> bytes:
        return self.section(next(s for s in self.header["sections"] if s["name"] == name))

    def weights(self, name: str) -> NDArray[np.float32]:
        """The weights that a tensor stands for, one loop for each dimension of the layout."""
        t = self.tensors[name]
        shape = t["shape"]
        n, k = shape if len(shape) == 2 else (1, shape[0])
        if t["layout"] == "rows":
            stored = np.frombuffer(self.section(t["data"]), "<f4").reshape(n, -1)
            return stored[:, :k].reshape(shape)
        if t["layout"] == "panel16x8":
            return self._int4(t, n, k)
        q = np.frombuffer(self.section(t["data"]), np.int8)
        bits = np.frombuffer(self.section(t["scale"]), "<u2").astype(np.uint32) << 16
        scales = bits.view(np.float32)
        group = t["group"]
        padded = -(-k // group) * group
        rows, columns = np.mgrid[0:n, 0:k]
        at = ((rows // 16 * (padded // 4) + columns // 4) * 16 + rows % 16) * 4 + columns % 4
        scale_at = (rows // 16 * (padded // group) + columns // group) * 16 + rows % 16
        result: NDArray[np.float32] = q[at] * scales[scale_at]
        return result

    def _int4(self, t: dict[str, Any], n: int, k: int) -> NDArray[np.float32]:
        bytes_ = np.frombuffer(self.section(t["data"]), np.uint8)
        halves = np.frombuffer(self.section(t["scale"]), "<f2").astype(np.float32)
        padded = -(-k // 32) * 32
        rows, columns = np.mgrid[0:n, 0:k]
        at = ((rows // 16 * (padded // 8) + columns // 8) * 16 + rows % 16) * 4 + columns % 4
        q = np.where(columns % 8 < 4, bytes_[at] & 15, bytes_[at] >> 4)
        scale_at = (rows // 16 * (padded // 32) + columns // 32) * 32 + rows % 16
        result: NDArray[np.float32] = q * halves[scale_at] + halves[scale_at + 16]
        return result
