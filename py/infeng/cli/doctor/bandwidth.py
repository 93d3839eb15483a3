"""How fast this machine reads memory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

BYTES = 1 << 28  # beyond most caches' share
METHOD = "best of 5 passes of numpy's max over 256 MiB, split among the threads"
_PASSES = 5


def read_gb_per_s(threads: int, size: int = BYTES) -> float:
    """Bytes read per second in units of 10^9, all threads together, from `size` bytes that are
    read over and over, as a model's weights are."""
    data = np.ones(max(size // 8, threads), np.uint64)  # written, so that each page is there
    pieces = np.array_split(data, threads)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_PASSES):
            started = time.perf_counter()
            list(pool.map(np.max, pieces))  # releases the GIL
            best = min(best, time.perf_counter() - started)
    return data.nbytes / best / 1e9
