"""Chat templates: messages to the text that a model was trained on.

The templates are Jinja programs that come with a model. They see what transformers'
`apply_chat_template` gives them: the same options of Jinja, filters, functions and variables.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from infeng.errors import InputError, one_line


class Message(TypedDict):
    """role: "system", "user" or "assistant"."""

    role: str
    content: str


class ChatTemplate:
    """A model's Jinja template, in a sandbox, with the functions that transformers gives it."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """special_tokens: bos_token, eos_token and the like, as far as the model has them.

        Raises InputError for a template that is empty or no valid Jinja."""
        if not source:
            raise InputError("the model has no chat template: use --raw (raw=True)")
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
        )
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        environment.filters["tojson"] = _to_json
        self._special_tokens = dict(special_tokens)
        try:
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as e:
            raise InputError(f"chat template: {one_line(e)}") from e

    def render(
        self,
        messages: Sequence[Message] | Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The text of a conversation, up to where the model answers if add_generation_prompt.

        tools: JSON schemas of functions; documents: what the answer is to be drawn from;
        variables: further ones that the template knows, like enable_thinking. What a template
        makes of them is its own affair. Raises InputError."""
        given = self._special_tokens | dict(variables or {})
        try:
            return self._template.render(
                messages=messages,
                tools=tools,
                documents=documents,
                add_generation_prompt=add_generation_prompt,
                **given,
            )
        except Exception as e:  # a template is a program: it may raise anything
            raise InputError(f"chat template: {one_line(e) or type(e).__name__}") from e


class Generation(Extension):
    """`{% generation %}`: marks what the model wrote, for training. It is just its content."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Gives the statements up to `{% endgeneration %}`."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own tojson escapes for HTML.
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
