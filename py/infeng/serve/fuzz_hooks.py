"""What //py/infeng/serve:http_fuzz_test tells schemathesis, which imports this module by its name.

The document cannot know what a server has loaded, and random names would all be 404; nor is it
of use to wait for thousands of tokens. So each generated request is brought near to one that
works: its wrong values stay wrong."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import schemathesis

ADAPTERS = Path("testdata/adapters").absolute()
BASE = "smollm2-135m-instruct"
LOADED = "upper"  # at the start; the requests change it
MOST_TOKENS = 3
_VOCAB = 49152
_MODELS = (BASE, LOADED, "json", "a/b")
_PATHS = (str(ADAPTERS / "json"), str(ADAPTERS / "upper"), str(ADAPTERS))


def _pick(text: str, known: tuple[str, ...]) -> str:
    """One of the known texts, or in one of eight cases the text itself; by its content."""
    number = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    return text if number % 8 == 0 or not text else known[number // 8 % len(known)]


def _near(body: dict[str, Any], path: str) -> dict[str, Any]:
    body = dict(body)
    for key, known in (("model", _MODELS), ("lora_name", _MODELS[1:]), ("lora_path", _PATHS)):
        if isinstance(body.get(key), str):
            body[key] = _pick(body[key], known)
    if path.endswith("completions"):
        _make_short(body)
        _make_agree(body)
    elif isinstance(body.get("prompt"), str) and body.get("messages") is not None:
        body["prompt"] = None  # /tokenize takes only one of them
    return body


def _make_short(body: dict[str, Any]) -> None:
    for key in ("max_tokens", "max_completion_tokens"):
        value = body.get(key)
        if type(value) is int and value > MOST_TOKENS:
            body[key] = MOST_TOKENS
    if body.get("max_completion_tokens") is None and body.get("max_tokens") is None:
        body["max_tokens"] = MOST_TOKENS


def _make_agree(body: dict[str, Any]) -> None:
    """Fields of the right form that the server refuses together, or for this vocabulary."""
    if isinstance(body.get("stream_options"), dict) and body.get("stream", False) is False:
        body["stream"] = True
    if type(body.get("top_logprobs")) is int and body.get("logprobs", False) in (None, False):
        body["logprobs"] = True
    if type(body.get("best_of")) is int and body["best_of"] > 0:
        body["best_of"] = body.get("n") or 1
    biases = body.get("logit_bias")
    if isinstance(biases, dict) and all(re.fullmatch("[0-9]+", key) for key in biases):
        body["logit_bias"] = {str(int(key[:9]) % _VOCAB): v for key, v in biases.items()}
    prompt = body.get("prompt")
    if isinstance(prompt, list):
        body["prompt"] = [i % _VOCAB if type(i) is int and i > 0 else i for i in prompt]
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") in ("text", "json_object", "json_schema"):
        schema = form.get("json_schema")
        kind = "json_schema" if schema is not None else "json_object"
        body["response_format"] = form | {"type": kind}


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: Any) -> Any:
    if isinstance(case.body, dict):
        case.body = _near(case.body, case.operation.path)
    place = case.path_parameters
    if place and isinstance(place.get("name"), str):
        place["name"] = _pick(place["name"], _MODELS)
    return case
