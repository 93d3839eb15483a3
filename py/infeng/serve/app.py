"""The routes."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from infeng.adapter import open_adapter
from infeng.errors import InfengError, InputError
from infeng.generation import Answer, Event
from infeng.llm import LLM
from infeng.sched import Version
from infeng.serve import errors
from infeng.serve.answers import Call
from infeng.serve.engine_thread import EngineThread
from infeng.serve.grammar import Grammars
from infeng.serve.metrics import Metrics
from infeng.serve.openapi import OPERATIONS, Operation, document
from infeng.serve.options import Options
from infeng.serve.protocol import (
    ChatRequest,
    CompletionRequest,
    Detokenize,
    LoadAdapter,
    Tokenize,
    UnloadAdapter,
)

B = TypeVar("B", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]
_CLOSED = 499  # the client has gone; nobody sees it but a log


class Server:
    """One model's routes. `app` is the ASGI application."""

    def __init__(self, llm: LLM, options: Options) -> None:
        self.llm = llm
        self.options = options
        self.metrics = Metrics(llm.runner, options.name)
        self.engine = EngineThread(llm, self._observe)
        self.draining = False
        self._started = int(time.time())
        self._request_s = 1.0  # a moving mean of how long requests take
        self._grammars = Grammars(
            llm.engine.section("tokenizer.json"),
            llm.engine.vocab_size,
            list(llm.config.eos_token_ids),
        )
        self._page = Path(__file__).with_name("page.html").read_text()
        self._installing = asyncio.Lock()
        self.app = Starlette(
            routes=[self._route(o, getattr(self, f"_{o.name}")) for o in OPERATIONS],
            exception_handlers={HTTPException: _http_error, Exception: _internal_error},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.engine.start(asyncio.get_running_loop())
        yield
        await asyncio.to_thread(self.engine.stop)

    def _observe(self, answer: Answer, event: Event) -> None:
        self.metrics.observe(answer, event)
        if event.finish_reason is not None:
            self._request_s += 0.1 * (time.perf_counter() - answer.started - self._request_s)

    # What all routes share.

    def _route(self, operation: Operation, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            request.state.operation = operation
            try:
                if not operation.open_to_all:
                    self._check_key(request)
                return await handler(request)
            except ValidationError as e:
                error = errors.of_validation(e)
            except ClientDisconnect:
                return Response(status_code=_CLOSED)
            except (InfengError, errors.ApiError) as e:
                error = errors.of(e, self._retry_after())
            self.metrics.refused(error.status)
            return error.response()

        # Names of models may have slashes.
        path = operation.path.replace("{name}", "{name:path}")
        return Route(path, endpoint, methods=[operation.method])

    def _check_key(self, request: Request) -> None:
        key = self.options.api_key
        if key is None:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
            raise errors.ApiError(401, "Incorrect API key provided", code="invalid_api_key")

    def _retry_after(self) -> float:
        """About how long it takes until a request that waits now would run."""
        scheduler = self.llm.runner.scheduler
        places = max(1, min(len(scheduler.running), scheduler.limits.running))
        return min(60.0, self._request_s * (1 + len(scheduler.waiting) / places) / 2)

    async def _body(self, request: Request, kind: type[B]) -> B:
        assert kind is request.state.operation.body  # what the OpenAPI document says
        limit = self.options.max_body
        data = b""
        too_large = errors.ApiError(413, f"the body is larger than {limit} bytes")
        with contextlib.suppress(ValueError):
            if int(request.headers.get("content-length", "0")) > limit:
                raise too_large
        async for piece in request.stream():
            data += piece
            if len(data) > limit:
                raise too_large
        # Strict, so that what the OpenAPI document forbids is refused: "7" is no number.
        return kind.model_validate_json(data, strict=True)

    def _adapter(self, model: str) -> str | None:
        if model == self.options.name:
            return None
        if model not in self.llm.adapters:
            raise errors.not_found(model)
        return model

    # Answers.

    async def _chat(self, request: Request) -> Response:
        return await self._answer(request, await self._body(request, ChatRequest))

    async def _completions(self, request: Request) -> Response:
        return await self._answer(request, await self._body(request, CompletionRequest))

    async def _answer(self, request: Request, body: ChatRequest | CompletionRequest) -> Response:
        if self.draining:
            raise errors.ApiError(
                503, "the server is shutting down", kind="server_error", retry_after=5
            )
        adapter = self._adapter(body.model)
        call = Call(self.llm, body)
        self.engine.submit(
            call.stream,
            call.makers(self._grammars),
            adapter,
            priority=body.priority,
            deadline=self.llm.runner.clock() + self.options.timeout,
        )
        if body.stream:
            return StreamingResponse(
                self._counted(call, call.chunks(self.engine)),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
            )
        whole = asyncio.ensure_future(call.whole(self.engine))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({whole, gone}, return_when=asyncio.FIRST_COMPLETED)
            if whole.done():
                return JSONResponse(whole.result())
            return Response(status_code=_CLOSED)
        finally:
            gone.cancel()
            if not whole.done():
                whole.cancel()
            self._end(call)

    async def _counted(self, call: Call, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            self._end(call)

    def _end(self, call: Call) -> None:
        self.engine.cancel(call.stream)
        for answer in call.stream.answers:
            self.metrics.cancelled(answer)

    # Models and adapters.

    def _card(self, name: str) -> dict[str, Any]:
        card: dict[str, Any] = {"id": name, "object": "model", "created": self._started}
        card |= {"owned_by": "infeng", "max_model_len": self.llm.config.max_position_embeddings}
        version = self.llm.runner.scheduler.adapters.current(name)
        if version is None:
            return card | {"root": self.options.name, "parent": None}
        return card | {
            "root": name,
            "parent": self.options.name,
            "adapter": {
                "digest": version.digest,
                "version": version.number,
                "state": version.state,
                "bytes": version.bytes,
            },
        }

    async def _models(self, request: Request) -> Response:
        names = [self.options.name, *self.llm.adapters]
        return JSONResponse({"object": "list", "data": [self._card(n) for n in names]})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._adapter(name)
        return JSONResponse(self._card(name))

    async def _load(self, request: Request) -> Response:
        body = await self._body(request, LoadAdapter)
        self._check_management()
        name = body.lora_name
        if name == self.options.name:
            raise errors.ApiError(400, f"{name!r} is the base model", param="lora_name")
        async with self._installing:
            if name in self.llm.adapters and not body.load_inplace:
                raise errors.ApiError(
                    400,
                    f"The lora adapter '{name}' has already been loaded; load_inplace replaces it",
                    param="lora_name",
                )
            version = await self._install(name, body.lora_path)
        return JSONResponse(
            {
                "message": f"Success: LoRA adapter '{name}' added successfully.",
                "digest": version.digest,
                "version": version.number,
            }
        )

    async def _install(self, name: str, path: str) -> Version:
        # Files are read in another thread: answers go on meanwhile.
        source = await asyncio.to_thread(open_adapter, Path(path), self.llm.base)
        return await asyncio.to_thread(self.llm.runner.add_adapter, name, source, load=True)

    async def set_adapter(self, name: str, path: str | None) -> None:
        """Load or replace an adapter, or with path None forget it. Raises InputError."""
        async with self._installing:
            if path is not None:
                await self._install(name, path)
            else:
                self.llm.runner.remove_adapter(name)

    async def _unload(self, request: Request) -> Response:
        body = await self._body(request, UnloadAdapter)
        self._check_management()
        async with self._installing:
            if not self.llm.runner.remove_adapter(body.lora_name):
                raise errors.not_found(body.lora_name)
        return JSONResponse(
            {"message": f"Success: LoRA adapter '{body.lora_name}' removed successfully."}
        )

    def _check_management(self) -> None:
        if not self.options.adapter_management:
            raise errors.ApiError(
                403,
                "adapters cannot be changed: the server is open to the network and has no API key",
                code="adapter_management_disabled",
            )

    # The rest.

    async def _tokenize(self, request: Request) -> Response:
        body = await self._body(request, Tokenize)
        if body.messages is not None:
            ids = self.llm.encode([m.message() for m in body.messages]).tolist()
        else:
            try:
                ids = self.llm.tokenizer.encode(
                    body.prompt or "", add_special_tokens=body.add_special_tokens
                ).tolist()
            except ValueError as e:
                raise InputError(f"prompt: {e}") from e
        answer: dict[str, Any] = {
            "count": len(ids),
            "max_model_len": self.llm.config.max_position_embeddings,
            "tokens": ids,
        }
        if body.return_token_strs:
            answer["token_strs"] = [self.llm.tokenizer.id_to_token(i) for i in ids]
        return JSONResponse(answer)

    async def _detokenize(self, request: Request) -> Response:
        body = await self._body(request, Detokenize)
        for token in body.tokens:
            if not 0 <= token < self.llm.engine.vocab_size:
                raise InputError(f"tokens: {token} is outside the vocabulary")
        try:
            return JSONResponse({"prompt": self.llm.tokenizer.decode(body.tokens)})
        except ValueError as e:
            raise InputError(f"tokens: {e}") from e

    async def _health(self, request: Request) -> Response:
        if self.draining:
            return JSONResponse({"status": "draining"}, 503)
        if not self.engine.alive:
            return JSONResponse({"status": "the engine has stopped"}, 503)
        return JSONResponse({"status": "ok"})

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(document())

    async def _index(self, request: Request) -> Response:
        return HTMLResponse(self._page)


async def _disconnected(request: Request) -> None:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {404: f"no such route: {request.url.path}"}.get(error.status_code, error.detail)
    response = errors.ApiError(error.status_code, f"{request.method}: {message}").response()
    response.headers.update(error.headers or {})  # Allow, of a wrong method
    return response


async def _internal_error(request: Request, error: Exception) -> Response:
    return errors.of(error).response()
