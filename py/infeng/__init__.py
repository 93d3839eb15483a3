"""infeng: language models on the CPU. `from infeng import LLM` is the library."""

from typing import TYPE_CHECKING, Any

from infeng.errors import InfengError, InputError
from infeng.version import __version__

if TYPE_CHECKING:
    from infeng.generation import Event, Result, SamplingParams
    from infeng.llm import LLM
    from infeng.native import Encoding, Tokenizer

__all__ = [
    "LLM",
    "Encoding",
    "Event",
    "InfengError",
    "InputError",
    "Result",
    "SamplingParams",
    "Tokenizer",
    "__version__",
]

_LAZY = {
    "LLM": "infeng.llm",
    "Encoding": "infeng.native",
    "Event": "infeng.generation",
    "Result": "infeng.generation",
    "SamplingParams": "infeng.generation",
    "Tokenizer": "infeng.native",
}


def __getattr__(name: str) -> Any:
    # The converter imports this package too and needs none of the engine.
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'infeng' has no attribute {name!r}")
