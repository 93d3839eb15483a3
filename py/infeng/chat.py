"""Chat templates: messages to the text that a model was trained on."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any, TypedDict

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from infeng.errors import InputError, one_line


class Message(TypedDict):
    """role: "system", "user" or "assistant"."""

    role: str
    content: str


class ChatTemplate:
    """A model's Jinja template, in a sandbox, with the functions that transformers gives it."""

    def __init__(self, source: str, special_tokens: dict[str, str]) -> None:
        """special_tokens: bos_token and eos_token, as far as the model has them.

        Raises InputError for a template that is empty or no valid Jinja."""
        if not source:
            raise InputError("the model has no chat template: use --raw (raw=True)")
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        environment.filters["tojson"] = _to_json
        self._special_tokens = special_tokens
        try:
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as e:
            raise InputError(f"chat template: {one_line(e)}") from e

    def render(self, messages: Sequence[Message]) -> str:
        """The text of a conversation up to where the model answers. Raises InputError."""
        try:
            return self._template.render(
                messages=messages, add_generation_prompt=True, **self._special_tokens
            )
        except Exception as e:  # a template is a program: it may raise anything
            raise InputError(f"chat template: {one_line(e) or type(e).__name__}") from e


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    # Jinja's own tojson escapes for HTML.
    return json.dumps(value, ensure_ascii=False, indent=indent)
