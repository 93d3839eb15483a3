"""Models in others' formats to INFQ files (docs/infq.md)."""

from infeng.convert.converter import Converted, Progress, convert, open_source
from infeng.convert.recipe import ADAPTER_DTYPES, DEFAULT_GROUP, RECIPES, Recipe

__all__ = [
    "ADAPTER_DTYPES",
    "DEFAULT_GROUP",
    "RECIPES",
    "Converted",
    "Progress",
    "Recipe",
    "convert",
    "open_source",
]
