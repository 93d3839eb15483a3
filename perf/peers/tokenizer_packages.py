"""Tokenizers of several packages behind one face, each by the call that is its cheapest."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infeng.native import Tokenizer

OURS, REFERENCE = "infeng", "tokenizers"


class Package(ABC):
    """A tokenizer of some package: `encode` one text, `batch` by as many threads as there are."""

    # Whether the special tokens of the model's template are put around a text always.
    template = False

    @abstractmethod
    def __init__(self, path: Path, threads: int) -> None:
        """path: of a tokenizer.json."""

    @abstractmethod
    def encode(self, text: str) -> Any:
        """Ids in the form that is the cheapest of the package."""

    @abstractmethod
    def batch(self, texts: list[str]) -> Any:
        """Ids of many texts in the form that is the cheapest of the package."""

    @abstractmethod
    def decode(self, ids: list[int]) -> str:
        """The text of ids, with special tokens."""

    def ids(self, text: str) -> list[int]:
        return list(map(int, self.encode(text)))


class Infeng(Package):
    def __init__(self, path: Path, threads: int) -> None:
        self.native, self.threads = Tokenizer.from_file(path), threads

    def encode(self, text: str) -> Any:
        return self.native.encode(text, False)

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch_flat(texts, False, threads=self.threads)

    def decode(self, ids: list[int]) -> str:
        return self.native.decode(ids)


class HuggingFace(Package):
    def __init__(self, path: Path, threads: int) -> None:
        import tokenizers

        self.native = tokenizers.Tokenizer.from_file(str(path))

    def encode(self, text: str) -> Any:
        return self.native.encode(text, add_special_tokens=False).ids

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch_fast(texts, add_special_tokens=False)

    def decode(self, ids: list[int]) -> str:
        return self.native.decode(ids, skip_special_tokens=False)


class Gigatoken(Package):
    def __init__(self, path: Path, threads: int) -> None:
        import gigatoken

        self.native, self.parallel = gigatoken.Tokenizer(str(path)), threads > 1

    def encode(self, text: str) -> Any:
        return self.native.encode(text)

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch(texts, parallel=self.parallel)

    def decode(self, ids: list[int]) -> str:
        decoded = self.native.decode(ids)
        return decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else decoded


class Fastokens(Package):
    def __init__(self, path: Path, threads: int) -> None:
        import fastokens

        self.native = fastokens.Tokenizer.from_file(str(path))

    def encode(self, text: str) -> Any:
        return self.native.encode(text).ids

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch_flat(texts)

    def decode(self, ids: list[int]) -> str:
        return self.native.decode(ids)


class Splintr(Package):
    # Its only calls for batches put the template around each text.
    template = True

    def __init__(self, path: Path, threads: int) -> None:
        import splintr

        self.native = splintr.from_json(str(path))

    def encode(self, text: str) -> Any:
        return self.native.encode(text)

    def batch(self, texts: list[str]) -> Any:
        return self.native.encode_batch_flat(texts)

    def decode(self, ids: list[int]) -> str:
        return self.native.decode(ids)


PACKAGES: dict[str, type[Package]] = {
    OURS: Infeng,
    "gigatoken": Gigatoken,
    "fastokens": Fastokens,
    "splintr": Splintr,
    REFERENCE: HuggingFace,
}


@dataclass
class Loaded:
    """The packages that can load a model; what the others say; seconds of CPU time to load."""

    packages: dict[str, Package]
    failed: dict[str, str]
    seconds: dict[str, float]


def load(path: Path, names: Sequence[str], threads: int) -> Loaded:
    """A model's tokenizer of each package that takes it."""
    loaded = Loaded({}, {}, {})
    for name in names:
        start = time.process_time()
        try:
            loaded.packages[name] = PACKAGES[name](path, threads)
        except BaseException as error:  # a panic of a Rust package is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            loaded.failed[name] = " ".join(str(error).split())[:120]
        loaded.seconds[name] = time.process_time() - start
    return loaded


def exactness(loaded: Loaded, texts: list[str]) -> dict[str, bool]:
    """Whether a package gives the ids of the reference for all texts."""
    reference = loaded.packages[REFERENCE]
    assert isinstance(reference, HuggingFace)
    plain = [e.ids for e in reference.native.encode_batch_fast(texts, add_special_tokens=False)]
    full = plain
    if any(package.template for package in loaded.packages.values()):
        full = [e.ids for e in reference.native.encode_batch_fast(texts, add_special_tokens=True)]
    exact = {}
    for name, package in loaded.packages.items():
        expected = full if package.template else plain
        exact[name] = all(package.ids(t) == e for t, e in zip(texts, expected, strict=True))
    return exact
