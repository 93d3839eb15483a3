"""The server on a small model: every route, every way to be refused."""

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from infeng import LLM
from infeng.adapter import convert_adapter
from infeng.convert import Recipe, convert
from infeng.serve import openapi, responses
from infeng.serve.testing import ServerProcess
from infeng.testing import small_model as small
from infeng.testing.small_adapter import adapter_tensors, write_adapter

HOT: Any = {"temperature": 2.0, "top_p": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    source = small.write_huggingface(
        folder / "hf", small.random_weights(), max_position_embeddings=4000
    )
    convert(source, folder / "small.infq", Recipe())
    (folder / "adapters").mkdir()
    write_adapter(folder / "adapters" / "a")
    write_adapter(folder / "adapters" / "b", lora_alpha=16)
    with LLM(folder / "small.infq") as llm:
        convert_adapter(folder / "adapters" / "a", llm.base, folder / "adapters" / "c.infq")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(
        "--model", folder / "small.infq", "--adapters", folder / "adapters" / "*",
        "--max-running", 4, "--max-queue", 6, "--max-body", "64K",
    ) as server:  # fmt: skip
        yield server
        server.wait_until_idle()
        server.interrupt()
        assert server.wait() == 0


@pytest.fixture(scope="module")
def llm(folder: Path) -> Iterator[LLM]:
    adapters = {n: folder / "adapters" / n for n in "ab"}
    with LLM(folder / "small.infq", adapters=adapters) as llm:
        yield llm


@pytest.fixture(autouse=True)
def _answers_keep_to_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever JSON comes in these tests is of the form that the OpenAPI document tells."""
    plain = ServerProcess.request

    def request(self: ServerProcess, path: str, *args: Any, **more: Any) -> Any:
        status, body, headers = plain(self, path, *args, **more)
        if headers.get("content-type", "").startswith("application/json"):
            form = response_model(path, status)
            form.model_validate(body, strict=True)
        return status, body, headers

    monkeypatch.setattr(ServerProcess, "request", request)


def response_model(path: str, status: int) -> type[BaseModel]:
    """What the document says of a JSON response."""
    template = "/v1/models/{name}" if path.startswith("/v1/models/") else path
    found = [o for o in openapi.OPERATIONS if o.path == template]
    if status in (404, 405, 500) and not (found and status in found[0].errors):
        return responses.Failure  # no such route or method
    (operation,) = found
    if status == 200 or (operation.name == "health" and status == 503):
        assert not isinstance(operation.answer, str)
        return operation.answer
    assert status in operation.errors, f"{path} is not said to give {status}"
    return responses.Failure


def test_the_document_tells_all_routes(server: ServerProcess) -> None:
    status, told, _ = server.request("/openapi.json")
    assert status == 200 and told == openapi.document()
    # Every reference leads somewhere, and every schema is referred to.
    text = json.dumps(told)
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names == set(told["components"]["schemas"])
    for path, methods in told["paths"].items():
        for method in methods:
            body: object = {} if method == "post" else None
            status, answer, _ = server.request(path.replace("{name}", "small"), body)
            if method == "get":
                assert status == 200
                continue
            # An empty body lacks what the document requires; nothing more is asked for.
            name = methods[method]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            required = told["components"]["schemas"][name.rpartition("/")[2]].get("required", [])
            assert status == 400
            assert answer["error"]["param"] == (required[0] if required else None), path


def chat(model: str = "small", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}


def sse(server: ServerProcess, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    status, text, headers = server.request(path, body | {"stream": True})
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    lines = [line for line in text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    (form,) = (o.chunk for o in openapi.OPERATIONS if o.path == path)
    assert form is not None
    for chunk in chunks:
        form.model_validate(chunk, strict=True)
    return chunks


def test_models(server: ServerProcess) -> None:
    status, body, _ = server.request("/v1/models")
    assert status == 200
    assert [m["id"] for m in body["data"]] == ["small", "a", "b", "c"]
    assert [m["parent"] for m in body["data"]] == [None, "small", "small", "small"]
    assert server.request("/v1/models/b")[1]["id"] == "b"
    status, body, _ = server.request("/v1/models/none")
    assert status == 404 and body["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("adapter", [None, "a", "b"])
def test_answers_are_the_librarys(server: ServerProcess, llm: LLM, adapter: str | None) -> None:
    want = llm.generate("Hello", adapter=adapter, max_tokens=20, seed=7, **HOT)[0]
    status, body, _ = server.request(
        "/v1/chat/completions", chat(adapter or "small", max_tokens=20, seed=7, **HOT)
    )
    assert status == 200, body
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": want.text, "refusal": None}
    assert choice["finish_reason"] == ("stop" if want.finish_reason == "eos" else "length")
    assert body["usage"]["completion_tokens"] == len(want.ids)
    assert body["usage"]["prompt_tokens"] == len(want.prompt_ids)
    chunks = sse(
        server,
        "/v1/chat/completions",
        chat(adapter or "small", max_tokens=20, seed=7, stream_options={"include_usage": True})
        | HOT,
    )
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == want.text
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == len(want.ids)


def test_an_infq_adapter_is_the_folder(server: ServerProcess) -> None:
    texts = [
        server.request("/v1/chat/completions", chat(m, max_tokens=20, temperature=0))[1]
        for m in ("a", "c", "small")
    ]
    contents = [t["choices"][0]["message"]["content"] for t in texts]
    assert contents[0] == contents[1] != contents[2]


def test_completions(server: ServerProcess, llm: LLM) -> None:
    ids = llm.encode("in the", raw=True).tolist()
    body = {"model": "small", "max_tokens": 9, "seed": 3, **HOT}
    want = [r.text for r in llm.generate(["Hi", "in the"], raw=True, max_tokens=9, seed=3, **HOT)]
    for prompt, texts in (
        ("in the", want[1:]),
        (["Hi", "in the"], want),
        (ids, want[1:]),
        ([ids, ids], [want[1]] * 2),
    ):
        status, answer, _ = server.request("/v1/completions", body | {"prompt": prompt})
        assert status == 200 and [c["text"] for c in answer["choices"]] == texts
    chunks = sse(server, "/v1/completions", body | {"prompt": ["Hi", "in the"]})
    streamed = ["", ""]
    for chunk in chunks:
        streamed[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert streamed == want


def test_n_choices_are_those_of_the_next_seeds(server: ServerProcess, llm: LLM) -> None:
    body = chat(n=3, seed=10, max_tokens=12, **HOT)
    answer = server.request("/v1/chat/completions", body)[1]
    texts = [c["message"]["content"] for c in answer["choices"]]
    want = [llm.generate("Hello", seed=s, max_tokens=12, **HOT)[0].text for s in (10, 11, 12)]
    assert texts == want and len(set(texts)) == 3
    assert answer["usage"]["prompt_tokens"] == len(llm.encode("Hello"))


def test_logprobs(server: ServerProcess, llm: LLM) -> None:
    body = chat(logprobs=True, top_logprobs=3, max_tokens=5, temperature=0)
    content = server.request("/v1/chat/completions", body)[1]["choices"][0]["logprobs"]["content"]
    assert len(content) == 5
    for token in content:
        # Greedy: the token is the likeliest.
        assert token["top_logprobs"][0]["logprob"] == token["logprob"] < 0
        assert len(token["top_logprobs"]) == 3
    streamed = [
        c["choices"][0]["logprobs"]["content"][0]
        for c in sse(server, "/v1/chat/completions", body)
        if c["choices"][0]["logprobs"]
    ]
    assert streamed == content
    body = {"model": "small", "prompt": "Hi", "logprobs": 2, "max_tokens": 4, "temperature": 0}
    found = server.request("/v1/completions", body)[1]["choices"][0]["logprobs"]
    assert len(found["tokens"]) == len(found["token_logprobs"]) == len(found["text_offset"]) == 4
    assert all(len(t) <= 2 for t in found["top_logprobs"])


def test_parameters_change_what_they_say(server: ServerProcess, llm: LLM) -> None:
    def ids(**more: Any) -> list[int]:
        """The ids by the library; the server must say the same text."""
        common: Any = {"max_tokens": 24, "temperature": 0.0, "ignore_eos": True} | more
        status, answer, _ = server.request("/v1/chat/completions", chat(**common))
        assert status == 200, answer
        if "logit_bias" in more:
            common["logit_bias"] = tuple((int(k), v) for k, v in more["logit_bias"].items())
        common["stop"] = tuple(more.get("stop", ()))
        result = llm.generate("Hello", **common)[0]
        assert answer["choices"][0]["message"]["content"] == result.text
        return result.ids

    plain = ids()
    assert plain[0] not in ids(logit_bias={str(plain[0]): -100})
    assert ids(logit_bias={"77": 100}) == [77] * 24
    for penalty in ("presence_penalty", "frequency_penalty"):
        assert len(set(ids(**{penalty: 2.0}))) > len(set(plain))
    assert ids(repetition_penalty=3.0) != plain
    assert ids(top_k=1, temperature=2.0) == plain
    letters = ids(logit_bias={"37": 60, "38": 60, "39": 59}, presence_penalty=2.0)
    stop = llm.tokenizer.decode(letters[3:5])
    assert (
        len(ids(logit_bias={"37": 60, "38": 60, "39": 59}, presence_penalty=2.0, stop=[stop])) < 24
    )


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"model": "none"}, 404, "The model `none` does not exist"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "role"),
        ({"temperature": 3}, 400, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"n": 0}, 400, "n: "),
        ({"n": 33}, 400, "n: "),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"logit_bias": {"x": 1}}, 400, "logit_bias"),
        ({"logit_bias": {"99999": 1}}, 400, "outside the vocabulary"),
        ({"logit_bias": {"5": 101}}, 400, "logit_bias"),
        ({"logit_bias": {"5": float("nan")}}, 400, "logit_bias"),
        ({"temperature": float("nan")}, 400, "temperature"),
        ({"repetition_penalty": float("nan")}, 400, "repetition_penalty"),
        ({"stop": ""}, 400, "stop"),
        ({"top_logprobs": 2}, 400, "top_logprobs"),
        ({"stop": [""]}, 400, "stop"),
        ({"tools": []}, 400, "Unrecognized request argument supplied: tools"),
        ({"stream_options": {}}, 400, "stream_options"),
        ({"messages": [{"role": "user", "content": "x" * 5000}]}, 400, "leave no room"),
        ({"response_format": {"type": "json_schema"}}, 400, "json_schema"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "nothing"}},
                }
            },
            400,
            "response_format",
        ),
    ],
)
def test_refused(server: ServerProcess, changes: dict[str, Any], status: int, says: str) -> None:
    for stream in (False, True):
        if "stream_options" in changes and stream:
            continue
        got, body, _ = server.request("/v1/chat/completions", chat() | {"stream": stream} | changes)
        assert got == status, body
        assert says in body["error"]["message"]
        assert set(body["error"]) == {"message", "type", "param", "code"}


def test_bodies_that_are_none(server: ServerProcess) -> None:
    for raw in (b"", b"{", b"[]", b"\xff\xfe", b"[" * 5000, b'{"model": "\\ud800"}', b"null"):
        status, body, _ = server.request("/v1/chat/completions", raw=raw)
        assert status == 400 and body["error"]["type"] == "invalid_request_error", raw
    status, body, _ = server.request("/v1/chat/completions", raw=b"x" * 70_000)
    assert status == 413 and "65536" in body["error"]["message"]

    def pieces() -> Iterator[bytes]:
        for _ in range(9):
            yield b"x" * 9000

    connection = server.connect()
    connection.request("POST", "/v1/completions", pieces(), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    assert server.request("/v1/nowhere")[0] == 404
    status, _, headers = server.request("/v1/chat/completions")
    assert status == 405 and headers["allow"] == "POST"
    # And it still answers.
    assert server.request("/health")[1] == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/chat/completions", "max_tokens", "5"),
        ("/v1/chat/completions", "max_tokens", True),
        ("/v1/chat/completions", "temperature", "0.5"),
        ("/v1/chat/completions", "stream", "false"),
        ("/v1/completions", "logit_bias", {"5": "1"}),
        ("/v1/load_lora_adapter", "load_inplace", 1),
        ("/tokenize", "return_token_strs", "yes"),
        ("/detokenize", "tokens", ["0"]),
    ],
)
def test_values_of_other_types_are_not_converted(
    server: ServerProcess, path: str, field: str, value: object
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": chat(),
        "/v1/completions": {"model": "small", "prompt": "Hi"},
        "/v1/load_lora_adapter": {"lora_name": "x", "lora_path": "/nowhere"},
        "/tokenize": {"prompt": "Hi"},
        "/detokenize": {},
    }
    status, body, _ = server.request(path, bodies[path] | {field: value})
    assert status == 400 and body["error"]["param"].startswith(field), body


def test_numbers_of_any_size(server: ServerProcess) -> None:
    """What the document allows without a bound has an answer, or is refused."""
    huge = 10**40
    for changes in (
        {"max_tokens": huge, "stop": ["e", "a", " "]},
        {"max_tokens": 2, "top_k": huge},
        {"max_tokens": 2, "priority": huge},
        {"max_tokens": 2, "priority": -huge},
        {"max_tokens": 2, "logit_bias": {str(huge): 1}},
    ):
        assert server.request("/v1/chat/completions", chat(**changes))[0] in (200, 400), changes
    assert server.request("/v1/completions", {"model": "small", "prompt": [huge]})[0] == 400
    assert server.request("/detokenize", {"tokens": [huge]})[0] == 400
    unload = {"lora_name": "none", "lora_int_id": huge}
    assert server.request("/v1/unload_lora_adapter", unload)[0] == 404


def test_tokenize(server: ServerProcess, llm: LLM) -> None:
    status, body, _ = server.request("/tokenize", {"model": "small", "prompt": "in the"})
    assert status == 200 and body["tokens"] == llm.encode("in the", raw=True).tolist()
    assert body["count"] == len(body["tokens"]) and body["max_model_len"] == 4000
    assert server.request("/detokenize", {"tokens": body["tokens"]})[1] == {"prompt": "in the"}
    messages = [{"role": "user", "content": "Hello"}]
    body = server.request("/tokenize", {"messages": messages, "return_token_strs": True})[1]
    assert body["tokens"] == llm.encode("Hello").tolist()
    assert body["token_strs"][0] == "<|im_start|>"
    assert server.request("/detokenize", {"tokens": [70000]})[0] == 400
    assert server.request("/tokenize", {})[0] == 400


def test_adapters_come_and_go(server: ServerProcess, folder: Path, tmp_path: Path) -> None:
    def greedy(name: str) -> tuple[int, Any]:
        body = chat(name, max_tokens=16, temperature=0, ignore_eos=True)
        status, answer, _ = server.request("/v1/chat/completions", body)
        return status, answer["choices"][0]["message"]["content"] if status == 200 else answer

    a, b = greedy("a")[1], greedy("b")[1]
    assert greedy("new")[0] == 404
    path = tmp_path / "new"
    write_adapter(path)
    load = {"lora_name": "new", "lora_path": str(path)}
    assert server.request("/v1/load_lora_adapter", load)[0] == 200
    assert greedy("new") == (200, a)
    assert "new" in [m["id"] for m in server.request("/v1/models")[1]["data"]]
    status, body, _ = server.request("/v1/load_lora_adapter", load)
    assert status == 400 and "already been loaded" in body["error"]["message"]
    write_adapter(path, lora_alpha=16)
    assert server.request("/v1/load_lora_adapter", load | {"load_inplace": True})[0] == 200
    assert greedy("new") == (200, b)
    # A broken one leaves the old one in place.
    (path / "adapter_model.safetensors").write_bytes(b"junk")
    status, body, _ = server.request("/v1/load_lora_adapter", load | {"load_inplace": True})
    assert status == 400 and "adapter_model.safetensors" in body["error"]["message"]
    assert greedy("new") == (200, b)
    assert server.request("/v1/unload_lora_adapter", {"lora_name": "new"})[0] == 200
    assert greedy("new")[0] == 404
    assert server.request("/v1/unload_lora_adapter", {"lora_name": "new"})[0] == 404
    for name, where in (("small", path), ("x", tmp_path / "none")):
        load = {"lora_name": name, "lora_path": str(where)}
        assert server.request("/v1/load_lora_adapter", load)[0] == 400


def long(seed: int, tokens: int = 3000) -> dict[str, Any]:
    return chat(max_tokens=tokens, seed=seed, ignore_eos=True, **HOT)


def test_a_full_queue_is_429(server: ServerProcess) -> None:
    statuses: list[tuple[int, dict[str, str]]] = []

    def ask(seed: int) -> None:
        status, _, headers = server.request("/v1/chat/completions", long(seed, 800))
        statuses.append((status, headers))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = [status for status, _ in statuses]
    # Four run, six wait, however fast they come; more only once one of them has ended.
    assert set(codes) == {200, 429} and codes.count(200) >= 4 + 6
    for status, headers in statuses:
        if status == 429:
            assert 1 <= int(headers["retry-after"]) <= 60


@pytest.mark.parametrize("stream", [False, True])
def test_who_goes_away_is_cancelled(server: ServerProcess, stream: bool) -> None:
    server.wait_until_idle()
    cached = server.metric("infeng_kv_pages_cached")
    connection = server.connect()
    body = json.dumps(long(1) | {"stream": stream}).encode()
    connection.request("POST", "/v1/chat/completions", body)
    while not server.metric("infeng_requests_running"):
        time.sleep(0.01)
    if stream:
        connection.getresponse().read(10)
    assert connection.sock is not None or stream
    connection.close()
    server.wait_until_idle(5)
    # What is cached is all that is still held.
    assert (
        server.metric("infeng_kv_pages_used") == server.metric("infeng_kv_pages_cached") >= cached
    )


def test_reload_under_load_is_not_noticed(server: ServerProcess, folder: Path) -> None:
    """Answers that run end on the version they began with, whatever is loaded meanwhile."""
    body = chat("a", max_tokens=400, seed=5, ignore_eos=True, **HOT)
    want = server.request("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
    got: list[str] = []

    def ask() -> None:
        answer = server.request("/v1/chat/completions", body)[1]
        got.append(answer["choices"][0]["message"]["content"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while server.metric("infeng_requests_running") < 4:
        time.sleep(0.01)
    loads = server.metric("infeng_adapter_loads")
    for name in ("b", "a") * 3:
        load = {"lora_name": "a", "lora_path": str(folder / "adapters" / name)}
        assert server.request("/v1/load_lora_adapter", load | {"load_inplace": True})[0] == 200
    for thread in threads:
        thread.join()
    assert got == [want] * 4
    assert server.metric("infeng_adapter_loads") >= loads + 6


def test_metrics(server: ServerProcess) -> None:
    server.request("/v1/chat/completions", chat("b", max_tokens=5, ignore_eos=True))
    text = server.request("/metrics")[1]
    for name in (
        'infeng_generated_tokens_total{model="b"}',
        'infeng_time_to_first_token_seconds_bucket{le="0.01",model="small"}',
        "infeng_time_per_token_seconds_sum",
        "infeng_prefix_found_tokens_total",
        "infeng_kv_pages ",
        'infeng_requests_total{model="small",reason="cancelled"}',
        'infeng_refused_requests_total{status="429"}',
    ):
        assert name in text, name


def test_api_key(folder: Path) -> None:
    env = {"INFENG_API_KEY": "secret"}
    with ServerProcess("--model", folder / "small.infq", env=env) as server:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
            status, body, _ = server.request("/v1/models", headers=headers)
            assert status == 401 and body["error"]["code"] == "invalid_api_key"
        headers = {"Authorization": "Bearer secret"}
        assert server.request("/v1/models", headers=headers)[0] == 200
        assert server.request("/health")[0] == 200


def test_deadline(folder: Path) -> None:
    with ServerProcess("--model", folder / "small.infq", "--timeout", 0.3) as server:
        status, body, _ = server.request("/v1/chat/completions", long(1, 3900))
        assert status == 504 and body["error"]["code"] == "timeout"
        text = server.request("/v1/chat/completions", long(1, 3900) | {"stream": True})[1]
        assert '"code": "timeout"' in text and text.endswith("data: [DONE]\n\n")


def test_ctrl_c_drains(folder: Path) -> None:
    with ServerProcess("--model", folder / "small.infq") as server:
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(long(1, 1500)).encode())
        while not server.metric("infeng_requests_running"):
            time.sleep(0.01)
        server.interrupt()
        answer = json.loads(connection.getresponse().read())
        assert answer["usage"]["completion_tokens"] == 1500
        connection.close()
        assert server.wait() == 0
        assert any("draining: 1 requests under way" in line for line in server.lines)
        assert not any("Traceback" in line for line in server.lines)


def test_a_second_ctrl_c_stops(folder: Path) -> None:
    with ServerProcess("--model", folder / "small.infq") as server:
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(long(1, 3900)).encode())
        while not server.metric("infeng_requests_running"):
            time.sleep(0.01)
        server.interrupt()
        time.sleep(0.3)
        server.interrupt()
        assert server.wait(10) == 130


def test_drafts_change_no_answer(folder: Path, server: ServerProcess) -> None:
    """With --speculate: the same texts, logprobs and ends, of JSON that keeps to a schema too."""
    items = {"type": "array", "items": {"enum": ["the", "rain"]}, "minItems": 9, "maxItems": 30}
    schema = {"type": "object", "properties": {"a": items}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    bodies = [
        chat(model, max_tokens=200, seed=seed, logprobs=True, top_logprobs=2, **more)
        for seed in range(2)
        for model in ("small", "a")
        for more in (
            {"temperature": 0.0, "ignore_eos": True},
            {"temperature": 0.4, "stop": ["the"], "frequency_penalty": 0.2},
            {"temperature": 0.7, "response_format": form, "n": 2},
            {"temperature": 0.0, "response_format": form, "logit_bias": {"40": 3}},
        )
    ]

    def choices(server: ServerProcess, body: dict[str, Any]) -> Any:
        status, answer, _ = server.request("/v1/chat/completions", body)
        assert status == 200, answer
        return answer["choices"]

    wanted = [choices(server, body) for body in bodies]
    adapters = folder / "adapters" / "*"
    with ServerProcess(
        "--model", folder / "small.infq", "--adapters", adapters, "--speculate", 8
    ) as drafting:
        assert [choices(drafting, body) for body in bodies] == wanted
        chunks = sse(drafting, "/v1/chat/completions", bodies[0])
        text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
        assert text == wanted[0][0]["message"]["content"]
        proposed = drafting.metric("infeng_draft_tokens")
        assert 0 < drafting.metric("infeng_accepted_draft_tokens") < proposed
        assert drafting.metric("infeng_kv_pages_used") == drafting.metric("infeng_kv_pages_cached")
    # Some ended as JSON that the schema allows.
    ended = [
        json.loads(c["message"]["content"])
        for answer, body in zip(wanted, bodies)
        for c in answer
        if "response_format" in body and c["finish_reason"] == "stop"
    ]
    assert all(set(value) == {"a"} for value in ended)
    assert server.metric("infeng_draft_tokens") == 0


def test_wrong_usage(folder: Path, tmp_path: Path) -> None:
    from infeng.testing.command import fails_in_one_line

    model = ("serve", "--model", folder / "small.infq")
    fails_in_one_line(*model, "--port", 99999, names="--port 99999", code=2)
    fails_in_one_line(*model, "--adapters", tmp_path / "*", names="nothing matches")
    fails_in_one_line(*model, "--kv-memory", "x", names="--kv-memory", code=2)
    fails_in_one_line(*model, "--kv-memory", "10", names="hold no page")
    fails_in_one_line(*model, "--report", "r.json", names="--report", code=2)
    fails_in_one_line(*model, "--host", "256.0.0.1", names="cannot listen at 256.0.0.1")
    fails_in_one_line(*model, "--max-running", 0, names="running is 0", code=2)
    fails_in_one_line(*model, "--speculate", -2, names="speculate is -2", code=2)
    broken = write_adapter(tmp_path / "broken", adapter_tensors(3))
    fails_in_one_line(*model, "--adapters", broken, names="adapter_model.safetensors")


def test_throughput(folder: Path, tmp_path: Path) -> None:
    from infeng.testing.command import infeng

    report = tmp_path / "run.json"
    done = infeng(
        "serve", "--model", folder / "small.infq", "--adapters", folder / "adapters" / "*",
        "--mode", "throughput", "--report", report, "--requests", 12, "--max-tokens", 8,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tokens/s" in done.stdout and "p95" in done.stdout and "LoRA tax" in done.stdout
    value = json.loads(report.read_text())
    for run in value["runs"].values():
        assert run["new_tokens"] == 12 * 8 and run["tokens_per_s"] > 0
    assert value["adapters"] == ["a", "b", "c"] and value["_meta"]["hardware_key"]
    assert os.listdir(tmp_path) == ["run.json"]
