"""Where the comparisons leave what they measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from infeng.files import atomic_write


def write(path: Path, columns: Iterable[object], rows: Iterable[Iterable[object]]) -> None:
    """A CSV file, and its folder if need be; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
