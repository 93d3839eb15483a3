"""What quantisation cost, tensor by tensor."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infeng.errors import UsageError
from infeng.files import atomic_write


@dataclasses.dataclass
class TensorError:
    """Differences between a tensor of the source and the one written.

    bits_per_weight: with scales and padding. max_abs_err: in the unit of the weights.
    rel_rms_err: root-mean-square difference / root-mean-square weight."""

    tensor: str
    bits_per_weight: float
    max_abs_err: float = 0.0
    _squares: float = dataclasses.field(default=0.0, repr=False)
    _error_squares: float = dataclasses.field(default=0.0, repr=False)

    def add(self, weights: NDArray[np.float32], written: NDArray[np.float32]) -> None:
        difference = weights.astype(np.float64) - written
        self.max_abs_err = max(self.max_abs_err, float(np.abs(difference).max()))
        self._squares += float(np.square(weights, dtype=np.float64).sum())
        self._error_squares += float(np.square(difference).sum())

    @property
    def rel_rms_err(self) -> float:
        return math.sqrt(self._error_squares / self._squares) if self._squares else 0.0


COLUMNS = ("tensor", "bits_per_weight", "max_abs_err", "rel_rms_err")


def write_report(path: Path, errors: list[TensorError]) -> None:
    """Write one row per tensor, as CSV or JSON after the name's ending. Raises InputError."""
    rows = [{c: getattr(e, c) for c in COLUMNS} for e in errors]
    text = io.StringIO()
    if path.suffix == ".json":
        json.dump(rows, text, indent=1)
        text.write("\n")
    else:
        table = csv.DictWriter(text, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def check_report_name(path: Path) -> None:
    """Raise UsageError for a name whose ending gives no format."""
    if path.suffix not in (".csv", ".json"):
        raise UsageError(f"--report {path}: the name must end in .csv or .json")
