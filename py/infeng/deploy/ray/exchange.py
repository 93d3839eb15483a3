"""A request to an ASGI application within the process, and its response piece by piece."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

from starlette.types import ASGIApp

Headers = list[tuple[bytes, bytes]]


@dataclasses.dataclass(frozen=True)
class Ask:
    """path: with what `root_path` has taken off it, decoded. query: raw."""

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes


@dataclasses.dataclass(frozen=True)
class Head:
    """A response's beginning, with the first piece of its body."""

    status: int
    headers: Headers
    body: bytes


async def exchange(app: ASGIApp, ask: Ask) -> AsyncIterator[Head | bytes]:
    """A Head, once the body begins, then further pieces as they come, several in one if they came
    together. Left early, the application sees that the client has gone. Raises what it raises."""
    messages: asyncio.Queue[MutableMapping[str, Any] | None] = asyncio.Queue()
    received, gone = False, asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        nonlocal received
        if not received:
            received = True
            return {"type": "http.request", "body": ask.body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.put_nowait(message)

    async def run() -> None:
        try:
            await app(_scope(ask), receive, send)
        finally:
            messages.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        start = await messages.get()
        begun = False
        while start is not None and (message := await messages.get()) is not None:
            body = message.get("body", b"")
            ended = False
            while not messages.empty() and not ended:
                more = messages.get_nowait()
                ended = more is None
                body += b"" if more is None else more.get("body", b"")
            if not begun:
                yield Head(start["status"], [*start["headers"]], body)
            elif body:
                yield body
            begun = True
            if ended:
                break
        await task
    finally:
        gone.set()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def whole(app: ASGIApp, ask: Ask) -> Head:
    """All of a response. Raises what the application raises."""
    pieces = [piece async for piece in exchange(app, ask)]
    head = pieces[0]
    assert isinstance(head, Head)
    rest = b"".join(piece for piece in pieces[1:] if isinstance(piece, bytes))
    return dataclasses.replace(head, body=head.body + rest)


def _scope(ask: Ask) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": ask.path,
        "raw_path": ask.path.encode(),
        "root_path": "",
        "query_string": ask.query,
        "headers": ask.headers,
        "client": None,
        "server": None,
    }
