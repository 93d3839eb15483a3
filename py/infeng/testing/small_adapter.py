"""A LoRA adapter of the small model, in PEFT's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from infeng.testing.small_model import write_json

Q = "base_model.model.model.layers.0.self_attn.q_proj"
DOWN = "base_model.model.model.layers.1.mlp.down_proj"


def adapter_tensors(rank: int = 4, down_rank: int | None = None) -> dict[str, Any]:
    """Its tensors by name; down_rank: the rank of its second target, if not the same."""
    random = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return random.standard_normal(shape).astype(np.float32)

    down = down_rank or rank
    return {
        f"{Q}.lora_A.weight": normal(rank, 64),
        f"{Q}.lora_B.weight": normal(64, rank),
        f"{DOWN}.lora_A.weight": normal(down, 96),
        f"{DOWN}.lora_B.weight": normal(64, down),
    }


def write_adapter(folder: Path, weights: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A PEFT folder. changes: of adapter_config.json."""
    folder.mkdir(exist_ok=True)
    config = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj", "down_proj"],
        "bias": "none",
        "use_dora": False,
        "lora_dropout": 0.1,
        "modules_to_save": None,
    }
    write_json(folder / "adapter_config.json", config | changes)
    save_file(
        adapter_tensors() if weights is None else weights, folder / "adapter_model.safetensors"
    )
    return folder
