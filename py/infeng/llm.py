"""LLM: a model, its tokenizer and adapters; the library's surface."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from infeng import models
from infeng.adapter import load_peft
from infeng.chat import ChatTemplate, Message
from infeng.convert.config import ModelConfig
from infeng.errors import InputError, UsageError, native_errors
from infeng.generation import Event, Result, Running, SamplingParams, step_until_done
from infeng.native import Engine, Tokenizer

Prompt = str | Sequence[Message]

_NO_ADAPTER = -1


class Sampling(TypedDict, total=False):
    """The fields of SamplingParams, as keywords."""

    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seed: int | None
    stop: tuple[str, ...]


class LLM:
    """A model that answers. A context manager; close() frees its memory.

    with LLM("smollm2.infq", adapters={"pirate": "pirate_peft"}) as llm:
        print(llm.generate("Hello", adapter="pirate", max_tokens=64)[0].text)
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        adapters: Mapping[str, str | Path] | None = None,
        threads: int | Literal["auto"] = "auto",
        dtype: str | None = None,
        force_path: str = "auto",
        kv: str | None = None,
        watch: models.Watch | None = None,
    ) -> None:
        """model: .infq or .gguf file, Hugging Face folder, or None for the default model.
        adapters: PEFT folders by name. threads: "auto" takes one per core. dtype: "int8",
        "int4" or "f32", None for the file's own (int8 when converting). force_path: the ISA
        tier. kv: dtype of the KV cache, "int8", "int4", "f16" or "f32", None for int8, or f32
        with f32 weights. watch: told of a conversion. Raises InputError, UsageError."""
        if threads != "auto" and threads < 1:
            raise UsageError(f"threads is {threads}: it must be at least 1")
        name = None if model is None else str(model)
        file = models.resolve(name, dtype, *([watch] if watch else []))
        self.path = file.path
        self.dtype: str = file.header["recipe"]
        # The float32 recipe is the reference: its cache loses nothing either.
        self.kv = kv or ("f32" if self.dtype == "f32" else "int8")
        self.config = ModelConfig.from_header(file.header["config"])
        with native_errors(str(self.path)):
            self.engine = Engine(
                str(self.path),
                threads=0 if threads == "auto" else threads,
                force_path=force_path,
                kv_dtype=self.kv,
            )
            self.tokenizer = Tokenizer.from_bytes(self.engine.section("tokenizer.json"))
        self._adapters: dict[str, int] = {}
        for adapter, folder in (adapters or {}).items():
            self.add_adapter(adapter, folder)

    def add_adapter(self, name: str, folder: str | Path) -> None:
        """Load a PEFT folder under a name that is not yet taken. Raises InputError."""
        if name in self._adapters:
            raise UsageError(f"adapter {name!r} is there twice")
        targets = load_peft(Path(folder), self.config).targets
        with native_errors(f"{folder}: adapter {name!r}"):
            self._adapters[name] = self.engine.add_adapter(
                name, [(t.layer, t.module, t.a, t.b, t.scale) for t in targets]
            )

    def adapter_id(self, name: str | None) -> int:
        """The engine's id of an adapter. Raises UsageError for a name that is not loaded."""
        if name is None:
            return _NO_ADAPTER
        if name not in self._adapters:
            loaded = ", ".join(self._adapters) or "none"
            raise UsageError(f"adapter {name!r} is not loaded; loaded: {loaded}")
        return self._adapters[name]

    @cached_property
    def template(self) -> ChatTemplate:
        """The model's chat template. Raises InputError if it has none."""
        ids = {"bos_token": self.config.bos_token_id}
        ids["eos_token"] = next(iter(self.config.eos_token_ids), None)
        tokens = {k: self.tokenizer.id_to_token(i) or "" for k, i in ids.items() if i is not None}
        source = self.engine.section("chat_template").decode()
        return ChatTemplate(source, tokens)

    def start(
        self,
        sequence: int,
        feed: NDArray[np.uint32],
        length: int,
        sampling: SamplingParams,
        adapter: int,
    ) -> Running:
        """Continue a sequence of the engine that holds `length` tokens by `feed` and new ones."""
        room = self.room(length + len(feed))
        return Running(
            sequence,
            self.tokenizer.decode_stream(skip_special_tokens=True),
            feed=feed,
            length=length,
            params=dataclasses.replace(sampling, max_tokens=min(sampling.max_tokens, room)),
            eos_ids=frozenset(self.config.eos_token_ids),
            adapter=adapter,
        )

    def encode(self, prompt: Prompt, raw: bool = False) -> NDArray[np.uint32]:
        """The ids that a prompt is fed as: [tokens] uint32.

        prompt: a user's message or a conversation, put into the chat template; with raw=True a
        text that is taken as it is. Raises InputError."""
        with native_errors("prompt"):
            if raw:
                if not isinstance(prompt, str):
                    raise UsageError("raw=True needs a text, not messages")
                ids = self.tokenizer.encode(prompt)
            else:
                messages = (
                    [Message(role="user", content=prompt)] if isinstance(prompt, str) else prompt
                )
                ids = self.tokenizer.encode(
                    self.template.render(messages), add_special_tokens=False
                )
        if not len(ids):
            raise InputError("prompt: has no token")
        self.room(len(ids))
        return ids

    def room(self, length: int) -> int:
        """How many tokens fit after `length`. Raises InputError if none does."""
        room = self.config.max_position_embeddings - length
        if room < 1:
            raise InputError(
                f"prompt: {length} tokens leave no room in the model's context of "
                f"{self.config.max_position_embeddings}"
            )
        return room

    @overload
    def generate(
        self,
        prompts: str | Sequence[Prompt],
        *,
        adapter: str | Sequence[str | None] | None = ...,
        raw: bool = ...,
        stream: Literal[False] = ...,
        **sampling: Unpack[Sampling],
    ) -> list[Result]: ...
    @overload
    def generate(
        self,
        prompts: str | Sequence[Prompt],
        *,
        adapter: str | Sequence[str | None] | None = ...,
        raw: bool = ...,
        stream: Literal[True],
        **sampling: Unpack[Sampling],
    ) -> Generator[Event, None, None]: ...

    def generate(
        self,
        prompts: str | Sequence[Prompt],
        *,
        adapter: str | Sequence[str | None] | None = None,
        raw: bool = False,
        stream: bool = False,
        **sampling: Unpack[Sampling],
    ) -> list[Result] | Generator[Event, None, None]:
        """Answer one prompt or several, together as one batch.

        prompts: as for encode(). adapter: a name for all or one per prompt. sampling: the
        fields of SamplingParams; a seed is chosen if none is given.
        Returns one Result per prompt in order, or with stream=True an iterator over Events.
        Raises InputError, UsageError."""
        listed: Sequence[Prompt] = [prompts] if isinstance(prompts, str) else prompts
        adapters: list[str | None] = (
            [adapter] * len(listed) if adapter is None or isinstance(adapter, str) else [*adapter]
        )
        if len(adapters) != len(listed):
            raise UsageError(f"{len(adapters)} adapters for {len(listed)} prompts")
        batch = Batch(self, [self.encode(p, raw) for p in listed], adapters, params(**sampling))
        if stream:
            return batch.events()
        for _ in batch.events():
            pass
        return batch.results()

    def close(self) -> None:
        """Free the model's memory. The object is of no use afterwards."""
        self._adapters.clear()
        if hasattr(self, "engine"):
            del self.engine

    def __enter__(self) -> LLM:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Batch:
    """Prompts that are answered together; each has a sequence of the engine while it runs."""

    def __init__(
        self,
        llm: LLM,
        prompt_ids: Sequence[NDArray[np.uint32]],
        adapters: Sequence[str | None],
        sampling: SamplingParams,
    ) -> None:
        self._llm = llm
        self._prompt_ids = prompt_ids
        self._adapters = [llm.adapter_id(name) for name in adapters]
        self._sampling = sampling
        self._running: list[Running] = []

    def events(self) -> Generator[Event, None, None]:
        """Run to the end. The sequences are freed when the iterator ends or is closed."""
        llm = self._llm
        try:
            for feed, adapter in zip(self._prompt_ids, self._adapters):
                sequence = llm.engine.new_sequence()
                self._running.append(llm.start(sequence, feed, 0, self._sampling, adapter))
            yield from step_until_done(llm.engine, self._running)
        finally:
            for r in self._running:
                llm.engine.free_sequence(r.sequence)

    def results(self) -> list[Result]:
        """What has been generated so far, in the order of the prompts."""
        return [r.result(ids.tolist()) for r, ids in zip(self._running, self._prompt_ids)]


def params(**sampling: Unpack[Sampling]) -> SamplingParams:
    """SamplingParams with a random seed if none is given. Raises UsageError."""
    if sampling.get("seed") is None:
        sampling["seed"] = secrets.randbits(32)
    return SamplingParams(**sampling)  # type: ignore[arg-type]
