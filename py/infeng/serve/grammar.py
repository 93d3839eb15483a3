"""Answers that are JSON, or JSON of a schema: llguidance says which tokens may come next."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import llguidance
import numpy as np
from numpy.typing import NDArray

from infeng.errors import InputError, one_line


class Grammars:
    """Constraints for one tokenizer. The library's tables are made at the first use."""

    def __init__(self, tokenizer_json: bytes, vocab_size: int, eos_ids: list[int]) -> None:
        self._tokenizer_json = tokenizer_json
        self._vocab_size = vocab_size
        self._eos_ids = eos_ids
        self._tokenizer: llguidance.LLTokenizer | None = None

    def json(self, schema: dict[str, Any] | None) -> JsonConstraint:
        """A new constraint to JSON of a schema; None: to any object. Raises InputError."""
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(
                json.dumps(schema or {"type": "object"})
            )
        except ValueError as e:
            raise InputError(f"response_format: {one_line(e)[:300]}") from e
        matcher = llguidance.LLMatcher(self._library_tokenizer(), grammar, log_level=0)
        if matcher.is_error():
            raise InputError(f"response_format: {one_line(matcher.get_error())[:300]}")
        return JsonConstraint(matcher, self._vocab_size)

    def _library_tokenizer(self) -> llguidance.LLTokenizer:
        if self._tokenizer is None:
            with tempfile.NamedTemporaryFile(suffix=".json") as file:
                file.write(self._tokenizer_json)
                file.flush()
                self._tokenizer = llguidance.LLTokenizer(
                    file.name, n_vocab=self._vocab_size, eos_token=self._eos_ids
                )
        return self._tokenizer


class JsonConstraint:
    """The state of one answer."""

    def __init__(self, matcher: llguidance.LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size

    def allowed(self) -> NDArray[np.bool_]:
        """[vocab]: which tokens may come next. Raises InputError."""
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise InputError(f"response_format: {one_line(self._matcher.get_error())[:300]}")
        bits: NDArray[np.bool_] = np.unpackbits(mask, bitorder="little").view(np.bool_)
        return bits[: self._vocab_size]

    def take(self, token: int) -> None:
        """A token has come."""
        self._matcher.consume_token(token)
