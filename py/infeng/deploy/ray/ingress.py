"""Takes requests and passes each on to a replica, by its adapter."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any, cast

from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from infeng.deploy.ray.exchange import Ask, Head
from infeng.deploy.ray.metrics import Page, together
from infeng.serve.errors import ApiError

_ANSWERS = ("/v1/chat/completions", "/v1/completions")
_CHANGES = ("/v1/load_lora_adapter", "/v1/unload_lora_adapter")
_CHANGE_S = 120.0  # in which all replicas must have loaded an adapter
_LONGEST_NAME = 200  # of an adapter, as in the protocol
_DROPPED = (b"content-length", b"transfer-encoding")


class Ingress:
    """The routes of `infeng serve`, over all replicas. Keeps nothing, so there may be several."""

    def __init__(self, model: DeploymentHandle, name: str) -> None:
        """model: the replicas. name: the base model's."""
        self._model = model
        self._name = name

    async def __call__(self, request: Request) -> Response:
        ask = Ask(
            request.method,
            request.url.path,
            request.url.query.encode(),
            [*request.headers.raw],
            await request.body(),
        )
        try:
            if ask.path == "/metrics" and ask.method == "GET":
                return await self._metrics()
            if ask.path in _CHANGES and ask.method == "POST":
                return await self._change(ask)
            return await self._pass_on(ask)
        except (RayError, RayServeException) as e:
            return problem(e).response()

    async def _pass_on(self, ask: Ask) -> Response:
        replica = self._model.options(
            method_name="http", stream=True, multiplexed_model_id=self._adapter(ask)
        )
        answer = cast(DeploymentResponseGenerator[Any], replica.remote(ask))
        try:
            # Nothing goes out before the first token: until then a replica that dies, or the wait
            # for a place, still has a status of its own.
            head: Head = await anext(answer)
            headers = _headers(head)
            if headers.get("content-type", "").startswith("text/event-stream"):
                return StreamingResponse(_stream(head, answer), head.status, headers)
            body = head.body + b"".join([piece async for piece in answer])
            return Response(body, head.status, headers)
        except BaseException:
            answer.cancel()  # above all, our own client has gone
            raise

    def _adapter(self, ask: Ask) -> str:
        """The adapter that a request names; empty if it may go to any replica."""
        if ask.path not in _ANSWERS:
            return ""
        try:
            model = json.loads(ask.body)["model"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""  # whichever replica gets it says what is wrong
        known = isinstance(model, str) and model != self._name and len(model) <= _LONGEST_NAME
        return model if known else ""

    async def _change(self, ask: Ask) -> Response:
        """Every replica loads or unloads an adapter. Those that fail are told of."""
        calls = self._model.broadcast("change_adapter", time.time_ns(), ask)
        try:
            results = await calls.results_async(timeout_s=_CHANGE_S, return_exceptions=True)
        except TimeoutError:
            message = f"not all replicas have done it within {_CHANGE_S:.0f} s"
            return ApiError(503, message, kind="server_error", retry_after=5).response()
        heads = [r for r in results if isinstance(r, Head)]
        done = [h for h in heads if h.status == 200]
        refused = [h for h in heads if h.status != 200]
        if done and len(done) < len(results):
            why = refused[0].body.decode() if refused else "a replica was lost"
            message = (
                f"{len(done)} of {len(results)} replicas have done it, the others follow: {why}"
            )
            return ApiError(
                503, message, kind="server_error", code="replicas_differ", retry_after=5
            ).response()
        if not heads:
            return problem(next(r for r in results if isinstance(r, Exception))).response()
        head = (done or refused)[0]
        headers = _headers(head)
        return Response(head.body, head.status, headers)

    async def _metrics(self) -> Response:
        results = await self._model.broadcast("metrics").results_async(
            timeout_s=10, return_exceptions=True
        )
        text = together(r for r in results if isinstance(r, Page))
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _headers(head: Head) -> dict[str, str]:
    """Without those that tell of the body's length, which may go out in other pieces."""
    return {k.decode(): v.decode() for k, v in head.headers if k.lower() not in _DROPPED}


async def _stream(head: Head, answer: DeploymentResponseGenerator[Any]) -> AsyncIterator[bytes]:
    try:
        yield head.body
        async for piece in answer:
            yield piece
    except (RayError, RayServeException) as e:
        # The status has gone out already.
        yield b"data: " + json.dumps(problem(e).body).encode() + b"\n\n"
    finally:
        answer.cancel()


def problem(error: Exception) -> ApiError:
    """What to tell of a replica that did not answer."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, BackPressureError):
        error = error.cause
    if isinstance(error, BackPressureError):
        return ApiError(
            429,
            "all replicas and the queue are full",
            kind="rate_limit_error",
            code="queue_full",
            retry_after=error.retry_after_s or 1,
        )
    if isinstance(error, RayTaskError) and not isinstance(error, TaskCancelledError):
        return ApiError(500, f"internal error: {type(error.cause).__name__}", kind="server_error")
    return ApiError(
        503,
        "the replica that had the request was lost; another one takes it if it is sent again",
        kind="server_error",
        code="replica_lost",
        retry_after=1,
    )
