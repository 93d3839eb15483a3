"""Runs a server until it is told to stop, and lets what is under way end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn

from infeng.errors import InputError, why
from infeng.serve.app import Server

_INTERRUPTED = 130


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises InputError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as e:
        raise InputError(f"cannot listen at {host}:{port}: {why(e)}") from e
    return listener


def serve(server: Server, listener: socket.socket, say: Callable[[str], None]) -> int:
    """Serve until SIGINT or SIGTERM, then drain; a second one stops at once. The exit code."""
    config = uvicorn.Config(
        server.app,
        log_level="warning",
        access_log=False,
        http="httptools",
        ws="none",
        loop="asyncio",
        timeout_keep_alive=30,
        server_header=False,
    )
    runs = _Uvicorn(config, server, say)
    asyncio.run(runs.serve([listener]))
    return _INTERRUPTED if runs.force_exit else 0


class _Uvicorn(uvicorn.Server):
    """uvicorn with our manners for signals: the first drains and that is a good end."""

    def __init__(self, config: uvicorn.Config, server: Server, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._server = server
        self._say = say

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
            return
        scheduler = self._server.llm.runner.scheduler
        under_way = len(scheduler.running) + len(scheduler.waiting)
        self._say(f"draining: {under_way} requests under way; once more stops at once")
        self._server.draining = True
        self.should_exit = True
