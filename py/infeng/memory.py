"""How much memory a model takes, and how much of it a token reads, known before."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from infeng.convert.config import ModelConfig
from infeng.errors import InputError
from infeng.native import Engine, kv_page_bytes
from infeng.sched import Limits

KV_DTYPES = ("int8", "int4", "f16", "f32")
_MOST = 1 << 30  # for keys and values, unless one context takes more
_TOKENIZER_BYTES = 420  # per entry of the vocabulary: tables, merges, and what reading them leaves


def available_bytes() -> int:
    """Memory that programs can still have, as the system estimates it."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def kv_pages(engine: Engine, config: ModelConfig, budget: int | None) -> int:
    """Pages of keys and values for a budget in bytes; None chooses one.

    Raises InputError for a budget that holds no page."""
    page = engine.kv_page_bytes
    if budget is None:
        context = -(-config.max_position_embeddings // engine.kv_page_positions) * page
        free = available_bytes()
        budget = max(min(_MOST, free // 4), min(context, free // 2))
    if budget < page:
        raise InputError(f"{budget} bytes for the KV cache hold no page, which takes {page}")
    return budget // page


def kv_token_bytes(config: ModelConfig, kv_dtype: str) -> float:
    """Bytes of one token's keys and values in all layers."""
    positions, page = _kv_page(config, kv_dtype)
    return page / positions


def estimate(weights: int, config: ModelConfig, sequences: int, context: int) -> dict[str, int]:
    """Bytes by part for so many sequences of `context` tokens; the whole is what `infeng serve`
    or the library take with default options, beside Python itself. weights: the file's bytes."""
    parts = {"weights": weights}
    for dtype in KV_DTYPES:
        positions, page = _kv_page(config, dtype)
        parts[f"kv_{dtype}"] = sequences * math.ceil(context / positions) * page
    parts["logits"] = sequences * config.vocab_size * 4
    parts["activations"] = Limits.step_tokens * _activation_bytes(config)
    parts["tokenizer"] = config.vocab_size * _TOKENIZER_BYTES
    parts["total_with_kv_int8"] = weights + sum(
        parts[k] for k in ("kv_int8", "logits", "activations", "tokenizer")
    )
    return parts


def read_per_token(header: dict[str, Any]) -> int:
    """Bytes of weights that a step reads, however few its tokens: all of an INFQ header's
    tensors but an embedding that is not the head too, of which a token takes one row."""
    return sum(
        t["data"]["bytes"] + t.get("scale", {"bytes": 0})["bytes"]
        for t in header["tensors"]
        if t["name"] != "model.embed_tokens.weight" or header["config"]["tie_word_embeddings"]
    )


def _kv_page(config: ModelConfig, kv_dtype: str) -> tuple[int, int]:
    """Tokens of a page of the KV cache, and its bytes in all layers."""
    return kv_page_bytes(
        kv_dtype, config.num_hidden_layers, config.num_key_value_heads, config.head_dim
    )


def _activation_bytes(config: ModelConfig) -> int:
    """Of one token in a step: float32, and what is quantised of it."""
    q = config.num_attention_heads * config.head_dim
    kv = config.num_key_value_heads * config.head_dim
    hidden, inner = config.hidden_size, config.intermediate_size
    # Layers with one window share a copy of the rotated queries, and of their scales.
    windows = len(set(config.layer_windows or (0,)))
    queries = windows * (2 * q + 4 * config.num_attention_heads)
    return 4 * 2 * (hidden + q + kv + inner) + queries + inner
