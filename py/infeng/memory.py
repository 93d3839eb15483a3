"""How much memory a model takes, known before it is taken."""

from __future__ import annotations

import os
from pathlib import Path

from infeng.convert.config import ModelConfig
from infeng.errors import InputError
from infeng.native import Engine

_MOST = 1 << 30  # for keys and values, unless one context takes more


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
