"""The official client against the real server, with the default model and two adapters."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from infeng import LLM
from infeng.serve.testing import ServerProcess
from infeng.testing.signs import is_json_answer, is_upper

ADAPTERS = Path("testdata/adapters").absolute()
BASE = "smollm2-135m-instruct"
QUESTION = [{"role": "user", "content": "What is the sun?"}]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess("--adapters", f"{ADAPTERS}/*", "--api-key", "k") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0)


def ask(client: openai.OpenAI, model: str, **more: Any) -> Any:
    options: Any = {"messages": QUESTION, "max_tokens": 24, "temperature": 0} | more
    return client.chat.completions.create(model=model, **options)


def test_models(client: openai.OpenAI) -> None:
    assert [m.id for m in client.models.list()] == [BASE, "json", "upper"]


def test_each_model_answers_in_its_own_way(client: openai.OpenAI) -> None:
    texts = {m: ask(client, m).choices[0].message.content for m in (BASE, "json", "upper")}
    assert is_json_answer(texts["json"]) and not is_json_answer(texts[BASE])
    assert is_upper(texts["upper"]) and not is_upper(texts[BASE])
    assert "sun" in texts[BASE].lower()


def test_streaming(client: openai.OpenAI) -> None:
    want = ask(client, "upper")
    text, reason = "", None
    usage: Any = None
    for chunk in ask(client, "upper", stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
        usage = chunk.usage or usage
    assert text == want.choices[0].message.content
    assert reason == want.choices[0].finish_reason
    assert usage is not None and usage.completion_tokens == want.usage.completion_tokens


def test_many_adapters_at_once_and_as_the_library(server: ServerProcess) -> None:
    """24 requests in flight, mixed: each answer is the one that its model gives alone."""
    prompts = ["What is the sun?", "Name a colour.", "Why do we sleep?", "What is bread?"]

    async def all_at_once() -> list[tuple[str, str, str]]:
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0)

        async def one(model: str, prompt: str) -> tuple[str, str, str]:
            answer = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": prompt}],
                max_tokens=20,
                seed=11,
                temperature=0.7,
            )
            return model, prompt, answer.choices[0].message.content or ""

        models = [BASE, "json", "upper"]
        return await asyncio.gather(*(one(m, p) for p in prompts for m in models for _ in "12"))

    answers = asyncio.run(all_at_once())
    adapters = {n: ADAPTERS / n for n in ("json", "upper")}
    with LLM(adapters=adapters, threads=1) as llm:
        for model, prompt, text in answers[::2]:
            adapter = None if model == BASE else model
            want = llm.generate(prompt, adapter=adapter, max_tokens=20, seed=11, temperature=0.7)
            assert text == want[0].text
    assert [a[2] for a in answers[::2]] == [a[2] for a in answers[1::2]]
    assert all(is_upper(t) for m, _, t in answers if m == "upper")
    assert all(t.startswith("{") for m, _, t in answers if m == "json")


def test_logprobs(client: openai.OpenAI) -> None:
    answer = ask(client, "json", logprobs=True, top_logprobs=2, max_tokens=4)
    content = answer.choices[0].logprobs.content
    assert len(content) == 4
    assert "".join(t.token for t in content) == answer.choices[0].message.content
    assert all(t.top_logprobs[0].token == t.token for t in content)
    old = client.completions.create(model=BASE, prompt="1 2 3 4", logprobs=1, max_tokens=3)
    assert old.choices[0].logprobs is not None
    assert len(old.choices[0].logprobs.tokens or []) == 3


SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "green", "blue"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 99},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 2},
    },
    "required": ["colour", "count", "tags"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("model", [BASE, "upper"])
def test_json_schema(client: openai.OpenAI, model: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA}}
    for seed in range(3):
        answer = ask(client, model, response_format=form, max_tokens=120, temperature=1, seed=seed)
        assert answer.choices[0].finish_reason == "stop"
        value = json.loads(answer.choices[0].message.content)
        assert value["colour"] in ("red", "green", "blue") and 1 <= value["count"] <= 99
        assert set(value) == {"colour", "count", "tags"} and len(value["tags"]) <= 2


def test_json_object(client: openai.OpenAI) -> None:
    answer = ask(client, BASE, response_format={"type": "json_object"}, max_tokens=200)
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(answer.choices[0].message.content), dict)
    else:
        assert answer.choices[0].message.content.startswith("{")


def test_errors_are_the_clients_own(client: openai.OpenAI, server: ServerProcess) -> None:
    with pytest.raises(openai.NotFoundError):
        ask(client, "none")
    with pytest.raises(openai.BadRequestError, match="temperature"):
        ask(client, BASE, temperature=9)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=server.url + "/v1", api_key="x").models.list()


def test_the_prefix_is_reused(client: openai.OpenAI) -> None:
    system = {"role": "system", "content": "You answer in one short sentence. " * 12}
    messages = [system, {"role": "user", "content": "What is tea?"}]
    first = ask(client, BASE, messages=messages)
    again = ask(client, BASE, messages=messages)
    assert again.usage.prompt_tokens_details.cached_tokens >= 64
    assert again.choices[0].message.content == first.choices[0].message.content
    # Another adapter's keys and values are other ones.
    other = ask(client, "json", messages=messages)
    assert other.usage.prompt_tokens_details.cached_tokens == 0
