"""The tokenizer.json files that the build has."""

from __future__ import annotations

from pathlib import Path


def models(index: Path) -> dict[str, Path]:
    """Model to tokenizer.json, by a file of third_party/tokenizers.bzl's tokenizer_index; those that
    the build could not get are missing."""
    root = Path(__file__).parents[3]
    found = {}
    for line in index.read_text().splitlines():
        name, *paths = line.split()
        for path in paths:
            if path.endswith("tokenizer.json"):
                found[name] = root / path
    return found
