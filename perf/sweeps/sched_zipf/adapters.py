"""As many adapters as a load wants: copies of testdata/adapters, each a content of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from infeng.convert.safetensors_file import SafetensorsFile
from infeng.errors import UsageError

SOURCES = tuple(
    Path(__file__).parents[3] / "testdata/adapters" / name for name in ("json", "upper")
)


def write_copies(folder: Path, count: int, rank: int) -> list[Path]:
    """`count` PEFT folders whose matrices are padded with zeros to `rank`: they answer as what
    they are copies of. Raises UsageError if the rank is below that of a source."""
    paths = []
    for i in range(count):
        source = SOURCES[i % len(SOURCES)]
        config = json.loads((source / "adapter_config.json").read_text())
        own = config["r"]
        if rank < own:
            raise UsageError(f"--rank {rank}: the adapter {source.name} has rank {own}")
        # Its scale alpha / rank stays. The name makes its digest, so nothing is shared.
        changes = {"r": rank, "lora_alpha": config["lora_alpha"] * rank / own}
        path = folder / f"{source.name}{i}"
        path.mkdir()
        config |= changes | {"revision": path.name}
        (path / "adapter_config.json").write_text(json.dumps(config))
        more = (0, rank - own)
        file = SafetensorsFile(source / "adapter_model.safetensors")
        tensors = {
            name: np.pad(
                file.rows(name, 0, info.shape[0]),
                [more, (0, 0)] if "lora_A" in name else [(0, 0), more],
            )
            for name, info in file.tensors.items()
        }
        save_file(tensors, path / "adapter_model.safetensors")
        paths.append(path)
    return paths
