"""LoRA adapters as the GGUF files that llama.cpp loads."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from infeng.adapter import Base, load_peft

# Our module names to those of GGUF's blocks.
_NAMES = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}


def write(folder: Path, base: Base, out: Path) -> None:
    """A PEFT folder as a GGUF adapter of the Llama family. Raises InputError."""
    adapter = load_peft(folder, base.config)
    writer = gguf.GGUFWriter(str(out), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    # Each scale goes into its B below: alpha = rank makes llama.cpp's own scale 1.
    writer.add_float32("adapter.lora.alpha", float(adapter.rank))
    for t in adapter.targets:
        name = f"blk.{t.layer}.{_NAMES[t.module]}.weight"
        scale = t.scale * len(t.a) / adapter.rank
        b = np.asarray(t.b, np.float32) * scale
        if t.module in ("q_proj", "k_proj"):
            b = _permuted(b, base.config.head_dim)
        writer.add_tensor(f"{name}.lora_a", np.ascontiguousarray(t.a, np.float32))
        writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(b, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _permuted(rows: NDArray[np.float32], head_dim: int) -> NDArray[np.float32]:
    """Rows [heads * head_dim][k] as GGUF has them for Llama: each head's halves interleaved."""
    heads = len(rows) // head_dim
    halves = rows.reshape(heads, 2, head_dim // 2, -1)
    return halves.swapaxes(1, 2).reshape(rows.shape)
