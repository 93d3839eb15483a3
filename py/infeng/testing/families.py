"""The tiny models of testdata/families: their files hold shapes, the weights are made anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from infeng.testing import seeded
from infeng.testing import small_model as small

FOLDER = Path("testdata/families")


def golden(name: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """What transformers computes for a case, and the metadata beside it."""
    with safe_open(FOLDER / name / "golden.safetensors", "numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def weights(name: str) -> dict[str, NDArray[np.float32]]:
    """All tensors of a case, as its checkpoint has them."""
    shapes: dict[str, list[int]] = json.loads(golden(name)[1]["shapes"])
    return {k: seeded.weight(k, tuple(v), "gemma" in name) for k, v in shapes.items()}


def write(name: str, folder: Path) -> Path:
    """The case as a new Hugging Face folder."""
    folder.mkdir()
    shutil.copy(FOLDER / name / "config.json", folder)
    small.write_json(folder / "tokenizer.json", small.tokenizer())
    small.write_json(folder / "tokenizer_config.json", {"chat_template": small.CHAT_TEMPLATE})
    save_file(weights(name), folder / "model.safetensors")
    return folder
