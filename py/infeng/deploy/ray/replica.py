"""The model: a whole server without its sockets, in an actor of Ray Serve."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

import ray
from ray import serve

from infeng.deploy.ray.catalogue import Changes
from infeng.deploy.ray.exchange import Ask, Head, exchange, whole
from infeng.deploy.ray.metrics import Page
from infeng.deploy.ray.settings import Settings
from infeng.errors import InfengError
from infeng.llm import LLM
from infeng.serve.adapters import find_adapters, model_name
from infeng.serve.app import Server
from infeng.serve.options import Options

CATALOGUE = "adapters"
_log = logging.getLogger("ray.serve")


class Replica:
    """Answers requests with a model of its own. Every replica knows every adapter and loads those that
    it is asked for; Ray's multiplexing sends an adapter's requests to where it has been used."""

    # Ray Serve awaits it.
    async def __init__(self, settings: dict[str, Any]) -> None:  # type: ignore[misc]
        """settings: of Settings. Raises InputError, UsageError."""
        s = Settings(**settings)
        name = model_name(s.served_model_name, s.model)
        llm = LLM(
            s.model,
            adapters=find_adapters(s.adapters, name),
            threads=s.threads,
            dtype=s.dtype,
            kv=s.kv,
            kv_memory=s.kv_memory,
            adapter_memory=s.adapter_memory,
            max_running=s.max_running,
            max_queue=s.max_queue,
        )
        managed = s.adapter_management
        self._server = Server(
            llm,
            Options(
                name=name,
                api_key=s.api_key,
                max_body=s.max_body,
                timeout=s.timeout,
                adapter_management=s.api_key is not None if managed is None else managed,
            ),
        )
        self._changes: Changes = {}

        async def wear(adapter: str) -> str:
            return adapter  # the engine loads it, under --adapter-memory

        # What it returns is of no use; that it was called is what Ray tells the routers.
        self._wear = serve.multiplexed(max_num_models_per_replica=s.adapters_per_replica or -1)(
            wear
        )
        self._stack = contextlib.AsyncExitStack()
        # The engine's thread reports to the loop on which the routes run: this one.
        app = self._server.app
        await self._stack.enter_async_context(app.router.lifespan_context(app))
        await self._follow()

    async def http(self, ask: Ask) -> AsyncIterator[Head | bytes]:
        """A response, piece by piece: of any route."""
        adapter = serve.get_multiplexed_model_id()
        if adapter and adapter in self._server.llm.adapters:
            await self._wear(adapter)
        answer = exchange(self._server.app, ask)
        async with contextlib.aclosing(answer):  # type: ignore[type-var]
            async for piece in answer:
                yield piece

    async def change_adapter(self, number: int, ask: Ask) -> Head:
        """A request to load or unload an adapter, which all replicas get. number: of the change."""
        head = await whole(self._server.app, ask)
        if head.status == 200:
            body = json.loads(ask.body)
            self._changes[body["lora_name"]] = (number, body.get("lora_path"))
            await self._follow()
        return head

    async def metrics(self) -> Page:
        """This replica's /metrics, and who it is."""
        name = serve.get_replica_context().replica_id.unique_id
        node = ray.get_runtime_context().get_node_id()
        return Page(name, node, os.getpid(), self._server.metrics.text())

    async def check_health(self) -> None:
        """Ray asks every few seconds, and replaces a replica whose engine has died."""
        if not self._server.engine.alive:
            raise RuntimeError(self._server.engine.failure or "the engine's thread has ended")
        await self._follow()

    async def _follow(self) -> None:
        """Do what others did while this replica was not there, or could not."""
        try:
            changes = await serve.get_deployment_actor(CATALOGUE).merge.remote(self._changes)
        except Exception as e:  # it is being started anew: next time
            _log.warning(f"adapters: the catalogue does not answer: {e}")
            return
        for name, change in changes.items():
            if change[0] <= self._changes.get(name, (0, None))[0]:
                continue
            try:
                await self._server.set_adapter(name, change[1])
            except InfengError as e:
                _log.error(f"adapter {name!r}: {e}")  # tried again next time
            else:
                self._changes[name] = change

    async def __del__(self) -> None:
        """After the last request."""
        if hasattr(self, "_stack"):
            await self._stack.aclose()
            self._server.llm.close()
