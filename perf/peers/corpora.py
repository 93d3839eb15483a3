"""Texts and tokenizer.json files that tokenizers are compared on.

The packages that environment.use("tokenizers") installs carry the texts, since their languages are many:
Django's translations, its sources, and what the docstrings of Django and of Python's library say."""

from __future__ import annotations

import ast
import gettext
import random
import sysconfig
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from infeng.errors import InfengError
from perf.sweeps.tokenizer.models import models as built

MODELS = ("llama3", "qwen3", "gpt2", "gpt4", "smollm2", "gemma", "llama2", "e5")
TEXTS = ("english", "code", "multilingual")

_ROOT = Path(__file__).parents[2]
# Of a text, in characters: the slowest package makes about a megabyte per second.
_MOST = 4_000_000


def models() -> dict[str, Path]:
    """Each family's tokenizer.json; those that the build could not get are missing."""
    found = built(Path(__file__).with_name("models.txt"))
    return {name: found[name] for name in MODELS if name in found}


def texts() -> dict[str, str]:
    """Each text by name, a few megabytes long. Raises InfengError if a package is not there."""
    make: dict[str, Callable[[], Iterator[str]]] = {
        "english": _english,
        "code": _code,
        "multilingual": _multilingual,
    }
    return {name: "".join(make[name]())[:_MOST] for name in TEXTS}


def _django() -> Path:
    found = find_spec("django")
    if found is None or found.origin is None:
        raise InfengError(
            'Django is not there: perf.peers.environment.use("tokenizers") comes first'
        )
    return Path(found.origin).parent


def _sources(folder: Path) -> Iterator[str]:
    """Its Python files in no order, always the same."""
    paths = sorted(p for p in folder.rglob("*.py") if "locale" not in p.parts)
    for path in random.Random(3).sample(paths, len(paths)):
        yield path.read_text("utf-8", errors="ignore")


def _english() -> Iterator[str]:
    yield (_ROOT / "testdata/text_handbook/handbook_a.txt").read_text("utf-8")
    for folder in (_django(), Path(sysconfig.get_path("stdlib"))):
        for source in _sources(folder):
            try:
                tree = ast.parse(source)
            except SyntaxError:  # files for tests of the language
                continue
            for node in ast.walk(tree):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                    said = ast.get_docstring(node)
                    if said and len(said) > 100:
                        yield said + "\n\n"


def _code() -> Iterator[str]:
    yield from _sources(_django())


def _multilingual() -> Iterator[str]:
    """The translations of one part after the other, so that languages take turns."""
    yield (_ROOT / "testdata/text/multilingual.txt").read_text("utf-8")
    catalogs = sorted(_django().rglob("locale/*/LC_MESSAGES/*.mo"))
    for path in random.Random(4).sample(catalogs, len(catalogs)):
        if path.parts[-3].startswith("en"):
            continue
        with path.open("rb") as file:
            # The class has no public way to all messages.
            messages = vars(gettext.GNUTranslations(file))["_catalog"]
        for key, said in messages.items():
            if key and said.strip():
                yield said + "\n"
