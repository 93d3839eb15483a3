"""A model's source to an INFQ file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from infeng.convert.huggingface import HuggingFaceSource
from infeng.convert.layout import PANEL_ROWS, Int4Panels, Panels, Rows, round_up
from infeng.convert.quantize import dequantize_int8, quantize_int4, quantize_int8
from infeng.convert.recipe import Recipe, activation_digits
from infeng.convert.report import TensorError
from infeng.convert.source import Int4Blocks, Source
from infeng.convert.writer import InfqWriter, section
from infeng.errors import InputError, native_errors, one_line
from infeng.files import atomic_write, sha256
from infeng.native import Tokenizer
from infeng.version import __version__

_BLOCK_WEIGHTS = 1 << 21  # taken at a time: 8 MiB of float32

_Layout = Rows | Panels | Int4Panels
Progress = Callable[[int, int, str], None]  # weights done, weights in all, tensor


@dataclasses.dataclass(frozen=True)
class Converted:
    """What was written: bytes of the file, weights in it, errors per tensor if asked for."""

    bytes: int
    weights: int
    errors: list[TensorError]

    @property
    def bits_per_weight(self) -> float:
        return self.bytes * 8 / self.weights


def open_source(path: Path, context: int | None = None) -> Source:
    """The model in a GGUF file or a Hugging Face folder. Raises InputError.

    context: the longest sequence; None: what the model has without a RoPE for long ones."""
    if path.is_dir():
        return HuggingFaceSource(path, context)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    # Here: every command imports this module, and few read GGUF.
    from infeng.convert.gguf_source import GgufSource

    return GgufSource(path, context)


def convert(
    source_path: Path,
    out: Path,
    recipe: Recipe,
    *,
    measure_errors: bool = False,
    context: int | None = None,
    progress: Progress = lambda done, total, tensor: None,
) -> Converted:
    """Write the model at source_path (GGUF file or Hugging Face folder) to `out`.

    context: as in open_source. The same input, recipe and version give the same bytes. Memory: the file's texts and a few
    blocks of 8 MiB, whatever the size of the model. `out` appears when it is complete.
    Raises InputError for a source that is damaged or not supported, or a failure to write."""
    source = open_source(source_path, context)
    if out.exists() and any(out.samefile(f) for f in source.files):
        raise InputError(f"{out}: is the source itself")
    _check_texts(source, source_path)
    plan = _Plan(source, recipe)
    with atomic_write(out) as file:
        writer = InfqWriter(file, plan.header, plan.sections)
        for name, data in plan.texts.items():
            writer.write(plan.text_sections[name], 0, data)
        errors, done = [], 0
        for name, shape in source.config.shapes().items():
            progress(done, plan.weights, name)
            tensor = _TensorWriter(writer, plan.entries[name], recipe.layout(name, shape))
            error = TensorError(name, tensor.bits_per_weight)
            for start, stop in _blocks(tensor.layout):
                weights = source.rows(name, start, stop)
                _check_finite(weights, f"{source_path}: tensor {name!r}")
                int4 = isinstance(tensor.layout, Int4Panels)
                try:
                    written = tensor.write(
                        weights, source.int4(name, start, stop) if int4 else None
                    )
                except OverflowError as e:
                    raise InputError(f"{source_path}: tensor {name!r}: {e}") from e
                if measure_errors:
                    error.add(weights, written())
                done += weights.size
                progress(done, plan.weights, name)
            errors.append(error)
        size = writer.finish()
    return Converted(size, plan.weights, errors if measure_errors else [])


class _Plan:
    """The header of the file to be, and which of its entries are sections."""

    def __init__(self, source: Source, recipe: Recipe) -> None:
        config = source.config
        self.texts = {
            "tokenizer.json": source.tokenizer_json,
            "chat_template": source.chat_template.encode(),
        }
        self.text_sections = {
            name: {"name": name, **section(len(data))} for name, data in self.texts.items()
        }
        self.sections = list(self.text_sections.values())
        self.entries: dict[str, dict[str, Any]] = {}
        self.weights = 0
        for name, shape in config.shapes().items():
            layout = recipe.layout(name, shape)
            entry: dict[str, Any] = {"name": name, "shape": list(shape)}
            entry["data"] = section(layout.data_bytes)
            self.sections.append(entry["data"])
            if not isinstance(layout, Rows):
                int4 = isinstance(layout, Int4Panels)
                entry |= {
                    "dtype": "u4" if int4 else "i8",
                    "layout": "panel16x8" if int4 else "panel16x4",
                    "group": layout.group,
                    "activation_digits": activation_digits(name, config.tie_word_embeddings),
                    "scale": section(layout.scale_bytes),
                }
                self.sections.append(entry["scale"])
            else:
                entry |= {"dtype": "f32", "layout": "rows"}
            self.entries[name] = entry
            self.weights += layout.n * layout.k
        self.header = {
            "kind": "model",
            "tool": f"infeng {__version__}",
            "architecture": config.architecture,
            "recipe": recipe.name,
            "config": config.header(),
            "source": [
                {"file": f.name, "bytes": f.stat().st_size, "sha256": sha256(f)}
                for f in source.files
            ],
            "sections": list(self.text_sections.values()),
            "tensors": list(self.entries.values()),
        }
        if config.architecture != "llama":
            self.header["family"] = source.family


class _TensorWriter:
    """Writes one tensor in blocks of rows, first to last."""

    def __init__(self, writer: InfqWriter, entry: dict[str, Any], layout: _Layout) -> None:
        self._writer = writer
        self._entry = entry
        self._data_at = 0
        self._scale_at = 0
        self.layout = layout
        size = layout.data_bytes + (0 if isinstance(layout, Rows) else layout.scale_bytes)
        self.bits_per_weight = size * 8 / (layout.n * layout.k)

    def write(
        self, weights: NDArray[np.float32], blocks: Int4Blocks | None
    ) -> Callable[[], NDArray[np.float32]]:
        """Write the next rows; return what gives the weights that they stand for now.

        blocks: the same rows in the form of int4, if they come in it."""
        layout = self.layout
        n, k = weights.shape
        if isinstance(layout, Int4Panels):
            if blocks is None:
                blocks = quantize_int4(layout.pad(weights))
            if not (np.isfinite(blocks.scales).all() and np.isfinite(blocks.minima).all()):
                raise OverflowError("int4 keeps scales in binary16, which ends at 65504")
            self._write(
                layout.pack_data(blocks.q), layout.pack_scales(blocks.scales, blocks.minima)
            )
            return lambda: blocks.weights()[:n, :k]
        if isinstance(layout, Rows):
            self._data_at = self._writer.write(
                self._entry["data"], self._data_at, layout.pack(weights)
            )
            return lambda: weights
        q, scales = quantize_int8(layout.pad(weights), layout.group)
        self._write(layout.pack_data(q), layout.pack_scales(scales))
        return lambda: dequantize_int8(q, scales, layout.group)[:n, :k]

    def _write(self, data: bytes, scales: bytes) -> None:
        self._data_at = self._writer.write(self._entry["data"], self._data_at, data)
        self._scale_at = self._writer.write(self._entry["scale"], self._scale_at, scales)


def _blocks(layout: _Layout) -> list[tuple[int, int]]:
    """Ranges of rows, whole panels but for the last, of about _BLOCK_WEIGHTS weights."""
    step = max(PANEL_ROWS, round_up(_BLOCK_WEIGHTS // layout.k, PANEL_ROWS))
    return [(i, min(i + step, layout.n)) for i in range(0, layout.n, step)]


def _check_finite(weights: NDArray[np.float32], where: str) -> None:
    if not np.isfinite(weights).all():
        raise InputError(f"{where}: has a weight that is NaN or infinite")


def _check_texts(source: Source, path: Path) -> None:
    with native_errors(f"{path}: tokenizer"):
        Tokenizer.from_bytes(source.tokenizer_json)
    try:
        jinja2.Environment().parse(source.chat_template)
    except (jinja2.TemplateError, RecursionError) as e:
        raise InputError(f"{path}: chat template: {one_line(e)}") from e
