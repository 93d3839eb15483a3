"""What each recipe does with each tensor."""

from __future__ import annotations

import dataclasses

from infeng.convert.layout import Int4Panels, Panels, Rows
from infeng.errors import UsageError

RECIPES = ("int8", "int4", "f32")
ADAPTER_DTYPES = ("f32", "f16")
DEFAULT_GROUP = 32


@dataclasses.dataclass(frozen=True)
class Recipe:
    """name: one of RECIPES. group: weights along K that share a scale (of int8; int4 has 32).

    int4 has the layers in 4 bits, embedding and head in int8.

    Raises UsageError for other values."""

    name: str = "int8"
    group: int = DEFAULT_GROUP

    def __post_init__(self) -> None:
        if self.name not in RECIPES:
            raise UsageError(f"recipe {self.name!r} is not one of {', '.join(RECIPES)}")
        if self.group < 32 or self.group % 32 or self.group > 1024:
            raise UsageError(f"group {self.group} is not a multiple of 32 from 32 to 1024")

    def layout(self, name: str, shape: tuple[int, ...]) -> Rows | Panels | Int4Panels:
        """The layout of a tensor: vectors stay float32."""
        n, k = shape if len(shape) == 2 else (1, shape[0])
        if self.name == "f32" or len(shape) == 1:
            return Rows(n, k)
        if self.name == "int4" and name.startswith("model.layers."):
            return Int4Panels(n, k)
        return Panels(n, k, self.group)


def activation_digits(name: str, tied: bool) -> int:
    """How many int8 digits the input of a linear layer takes.

    Measured on the default model, perplexity against float32: one digit everywhere +0.46 %
    (one scale per row even +3.9 %), two for v and the head +0.25 %; the other layers lose
    nothing that two digits would give back."""
    head = name == "lm_head.weight" or (tied and name == "model.embed_tokens.weight")
    return 2 if head or name.endswith(".v_proj.weight") else 1
