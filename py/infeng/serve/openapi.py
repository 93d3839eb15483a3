"""The routes as OpenAPI tells them: the server is made from this table, and so is the document."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from infeng.serve import responses
from infeng.serve.protocol import (
    ChatRequest,
    CompletionRequest,
    Detokenize,
    LoadAdapter,
    Tokenize,
    UnloadAdapter,
)
from infeng.version import __version__

_REF = "#/components/schemas/{model}"
_STREAM = "text/event-stream"
_KEY = "apiKey"
ERRORS = {
    400: "The request is wrong; `param` says where.",
    401: "No or a wrong API key, if the server has one.",
    403: "Adapters cannot be changed: the server is open to the network and has no API key.",
    404: "No such model.",
    413: "The body is larger than the server takes.",
    429: "As many requests as the server takes are under way; `Retry-After` says about how long.",
    503: "The server drains, or its engine has stopped.",
    504: "Not done in the time that the server gives a request.",
}
_BODY = (400, 401, 413)


@dataclasses.dataclass(frozen=True)
class Operation:
    """One route. body: what a request carries. answer: JSON of this form, or a media type.
    chunk: the form of each `data:` line with `stream`. errors: statuses, each an ERRORS.
    open_to_all: no API key is asked for."""

    method: str
    path: str
    name: str
    summary: str
    answer: type[BaseModel] | str
    body: type[BaseModel] | None = None
    chunk: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    open_to_all: bool = False


OPERATIONS = (
    Operation(
        "POST", "/v1/chat/completions", "chat", "Answer a conversation.",
        responses.ChatCompletion, ChatRequest, responses.ChatCompletionChunk,
        (*_BODY, 404, 429, 503, 504),
    ),
    Operation(
        "POST", "/v1/completions", "completions", "Continue a text, several, or token ids.",
        responses.Completion, CompletionRequest, responses.Completion,
        (*_BODY, 404, 429, 503, 504),
    ),
    Operation(
        "GET", "/v1/models", "models", "The base model and the adapters.",
        responses.ModelList, errors=(401,),
    ),
    Operation(
        "GET", "/v1/models/{name}", "model", "One of them.",
        responses.ModelCard, errors=(401, 404),
    ),
    Operation(
        "POST", "/v1/load_lora_adapter", "load", "Load an adapter, or replace one.",
        responses.Loaded, LoadAdapter, errors=(*_BODY, 403),
    ),
    Operation(
        "POST", "/v1/unload_lora_adapter", "unload", "Forget an adapter.",
        responses.Unloaded, UnloadAdapter, errors=(*_BODY, 403, 404),
    ),
    Operation(
        "POST", "/tokenize", "tokenize", "A text or a conversation to token ids.",
        responses.Tokens, Tokenize, errors=_BODY,
    ),
    Operation(
        "POST", "/detokenize", "detokenize", "Token ids to a text.",
        responses.Text, Detokenize, errors=_BODY,
    ),
    Operation(
        "GET", "/health", "health", "Whether it takes requests.",
        responses.Health, errors=(), open_to_all=True,
    ),
    Operation(
        "GET", "/metrics", "metrics", "Counters and times for Prometheus.",
        "text/plain", open_to_all=True,
    ),
    Operation(
        "GET", "/openapi.json", "openapi", "This document.",
        responses.Document, open_to_all=True,
    ),
    Operation(
        "GET", "/", "index", "A page: one prompt, several adapters side by side.",
        "text/html", open_to_all=True,
    ),
)  # fmt: skip


def document() -> dict[str, Any]:
    """The server's OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "infeng",
            "version": __version__,
            "description": "OpenAI's API, and vLLM's routes for adapters and tokens. `model` names "
            "the base model or an adapter. A field that is not known is refused, never ignored.",
        },
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {_KEY: {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [] if operation.open_to_all else [{}, {_KEY: []}],
    }
    if "{name}" in operation.path:
        told["parameters"] = [
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    if operation.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(operation.body)}},
        }
    content: dict[str, Any]
    if isinstance(operation.answer, str):
        content = {operation.answer: {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": _ref(operation.answer)}}
    if operation.chunk is not None:
        content[_STREAM] = {"schema": _event(operation.chunk)}
    told["responses"] = {"200": {"description": "Done.", "content": content}}
    failure = {"application/json": {"schema": _ref(responses.Failure)}}
    if operation.name == "health":
        told["responses"]["503"] = {
            "description": ERRORS[503],
            "content": {"application/json": {"schema": _ref(responses.Health)}},
        }
    for status in operation.errors:
        told["responses"][str(status)] = {"description": ERRORS[status], "content": failure}
    return told


def _event(chunk: type[BaseModel]) -> dict[str, Any]:
    """One server-sent event: its data is the JSON of a chunk, or of a failure, or the end."""
    json_of = [
        {"contentMediaType": "application/json", "contentSchema": _ref(model)}
        for model in (chunk, responses.Failure)
    ]
    data = {"type": "string", "anyOf": [*json_of, {"const": "[DONE]"}]}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas() -> dict[str, Any]:
    bodies = [o.body for o in OPERATIONS if o.body is not None]
    answers: list[type[BaseModel]] = [responses.Failure]
    for operation in OPERATIONS:
        answers += [
            m for m in (operation.answer, operation.chunk) if m is not None and m not in answers
            if not isinstance(m, str)
        ]  # fmt: skip
    _, schemas = models_json_schema(
        [(m, "validation") for m in (*bodies, *answers)], ref_template=_REF
    )
    found: dict[str, Any] = schemas["$defs"]
    return found
