"""What is asked: prompts whose answers repeat them, and prompts whose answers do not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from infeng import jsontext


@dataclasses.dataclass(frozen=True)
class Text:
    """repeats: the answer says much that has been said. raw: no chat template. sampling: fields of
    SamplingParams."""

    name: str
    repeats: bool
    prompt: str
    raw: bool
    sampling: dict[str, Any]

    def __str__(self) -> str:
        return self.name


_GREEDY: dict[str, Any] = {"temperature": 0.0}
# Hotter than the default, so that the small model does not go round by itself.
_HOT: dict[str, Any] = {"temperature": 0.9, "top_p": 0.95, "seed": 1}


def texts(handbook: Path) -> list[Text]:
    """All of them. handbook: a text file of paragraphs."""
    code = Path(jsontext.__file__).read_text()[:1500]
    paragraphs = [p for p in handbook.read_text().split("\n") if len(p) > 400]
    records = "\n".join(
        f'{{"id": {i}, "name": "{name}", "town": "{town}", "paid": {paid}}}'
        for i, (name, town, paid) in enumerate(
            [
                ("Ada Byron", "London", "true"),
                ("Emmy Noether", "Erlangen", "false"),
                ("Sofia Kovalevskaya", "Stockholm", "true"),
                ("Hypatia", "Alexandria", "false"),
                ("Sophie Germain", "Paris", "true"),
                ("Mary Somerville", "Jedburgh", "true"),
            ]
        )
    )
    begun = "\n".join(code.split("\n")[:4])
    return [
        Text("edit code", True, f"{code}\n\n# The same file, with one more comment:\n{begun}", True, _GREEDY),
        Text("copy records", True, f"Records:\n{records}\n\nThe same records again:\n{{", True, _GREEDY),
        Text("quote a text", True, f"{paragraphs[0]}\n\nAs the handbook says: \"{paragraphs[0][:60]}", True, _GREEDY),
        Text("correct a text", True, f"Correct the spelling of this text, change nothing else:\n\n{paragraphs[1]}", False, _GREEDY),
        Text("summarise", True, f"Summarise this text in its own words:\n\n{paragraphs[2]}", False, _GREEDY),
        Text("long answer, greedy", True, "Tell me about the history of Rome.", False, _GREEDY),
        Text("explain", False, "Why is the sky blue?", False, _HOT),
        Text("story", False, "Write a story about a lighthouse keeper.", False, _HOT),
        Text("continue prose", False, paragraphs[3], True, _HOT),
        Text("continue prose, hotter", False, paragraphs[4], True, {**_HOT, "temperature": 1.2}),
        Text("ideas", False, "Name ten things one can do on a rainy day.", False, _HOT),
        Text("continue code", False, code, True, _HOT),
    ]  # fmt: skip
