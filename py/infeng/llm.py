"""LLM: a model, its tokenizer and adapters; the library's surface."""

from __future__ import annotations

import dataclasses
import secrets
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from infeng import memory, models
from infeng.adapter import Base, open_adapter
from infeng.chat import ChatTemplate, Message
from infeng.convert.config import ModelConfig
from infeng.errors import InputError, UsageError, native_errors
from infeng.generation import Answer, Constraint, Event, Result, SamplingParams
from infeng.native import Engine, Tokenizer
from infeng.runner import Runner, unknown_adapter
from infeng.sched import Limits

Prompt = str | Sequence[Message]


class Sampling(TypedDict, total=False):
    """The fields of SamplingParams, as keywords."""

    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seed: int | None
    stop: tuple[str, ...]
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    logit_bias: tuple[tuple[int, float], ...]
    logprobs: int | None
    ignore_eos: bool


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
        kv_memory: int | None = None,
        adapter_memory: int | None = None,
        max_running: int = Limits.running,
        max_queue: int = 1 << 20,
        step_tokens: int = Limits.step_tokens,
        mixed_tokens: int = Limits.mixed_tokens,
        speculate: int = 0,
        adapter_threads: int = 1,
        adapter_thread_start: Callable[[], None] | None = None,
    ) -> None:
        """model: .infq or .gguf file, Hugging Face folder, or None for the default model.
        adapters: PEFT folders or INFQ adapters by name. threads: "auto" takes one per core. dtype:
        "int8", "int4" or "f32", None for the file's own (int8 when converting). force_path: the
        ISA tier. kv: dtype of the KV cache, "int8", "int4", "f16" or "f32", None for int8, or f32
        with f32 weights. watch: told of a conversion.
        kv_memory: bytes for keys and values, the prefix cache among them; None takes a quarter of
        the free memory and at most 1 GiB, but room for one whole context if there is.
        adapter_memory: bytes for adapters, None without limit. adapter_thread_start: called in
        each thread that loads adapters. speculate: tokens that a step may try of an answer beyond
        the next one, looked up in prompt and answer; 0 for none. The tokens are the same, and come
        faster where a text repeats itself. The others are of sched.Limits.
        Raises InputError, UsageError."""
        if threads != "auto" and threads < 1:
            raise UsageError(f"threads is {threads}: it must be at least 1")
        if speculate < 0:
            raise UsageError(f"speculate is {speculate}: it must be 0 (off) or more")
        name = None if model is None else str(model)
        file = models.resolve(name, dtype, *([watch] if watch else []))
        self.path = file.path
        self.dtype: str = file.header["recipe"]
        # The float32 recipe is the reference: its cache loses nothing either.
        self.kv: str = kv or ("f32" if self.dtype == "f32" else "int8")
        self.config = ModelConfig.from_header(file.header["config"])
        self.base = Base(self.config, models.digest(file.header))
        with native_errors(str(self.path)):
            self.engine = Engine(
                str(self.path),
                threads=0 if threads == "auto" else threads,
                force_path=force_path,
                kv_dtype=self.kv,
            )
            self.tokenizer = Tokenizer.from_bytes(self.engine.section("tokenizer.json"))
        try:
            limits = Limits(
                memory.kv_pages(self.engine, self.config, kv_memory),
                self.engine.kv_page_positions,
                running=max_running,
                queue=max_queue,
                step_tokens=max(step_tokens, max_running),
                mixed_tokens=mixed_tokens,
                draft_tokens=speculate,
            )
        except ValueError as e:
            raise UsageError(str(e)) from e
        self.runner = Runner(
            self.engine,
            limits,
            model=(self.base.digest, self.dtype, self.kv),
            adapter_bytes=adapter_memory,
            adapter_threads=adapter_threads,
            adapter_thread_start=adapter_thread_start,
        )
        for adapter, path in (adapters or {}).items():
            self.add_adapter(adapter, path)

    def add_adapter(self, name: str, path: str | Path, *, replace: bool = False) -> None:
        """Load a PEFT folder or INFQ adapter under a name that is not yet taken.

        replace: it may be taken: answers under way end with the adapter that they began with.
        Raises InputError."""
        if not replace and name in self.runner.scheduler.adapters.names:
            raise UsageError(f"adapter {name!r} is there twice")
        self.runner.add_adapter(name, open_adapter(Path(path), self.base), load=True)

    def remove_adapter(self, name: str) -> None:
        """Forget an adapter; answers under way keep it to their end. Raises UsageError."""
        if not self.runner.remove_adapter(name):
            raise UsageError(str(unknown_adapter(name, self.adapters)))

    @property
    def adapters(self) -> list[str]:
        """The names that prompts may be answered with."""
        return self.runner.scheduler.adapters.names

    @cached_property
    def template(self) -> ChatTemplate:
        """The model's chat template. Raises InputError if it has none."""
        ids = {"bos_token": self.config.bos_token_id}
        ids["eos_token"] = next(iter(self.config.eos_token_ids), None)
        tokens = {k: self.tokenizer.id_to_token(i) or "" for k, i in ids.items() if i is not None}
        source = self.engine.section("chat_template").decode()
        return ChatTemplate(source, tokens)

    def answer(
        self,
        prompt: Sequence[int] | NDArray[np.uint32],
        sampling: SamplingParams,
        *,
        index: int = 0,
        emit: Callable[[Event], None] | None = None,
        constraint: Constraint | None = None,
    ) -> Answer:
        """An answer to the ids of a prompt, for the runner. max_tokens is cut to what there is
        room for. Raises InputError."""
        most = min(sampling.max_tokens, self.room(len(prompt)))
        return Answer(
            [int(i) for i in prompt],
            dataclasses.replace(sampling, max_tokens=most),
            stream=self.tokenizer.decode_stream(skip_special_tokens=True),
            eos_ids=frozenset(self.config.eos_token_ids),
            index=index,
            emit=emit,
            constraint=constraint,
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
        context = self.config.max_position_embeddings
        if length >= context:
            raise InputError(
                f"prompt: {length} tokens leave no room in the model's context of {context}"
            )
        # The last token's keys and values are not kept.
        kept = self.runner.limits.pages * self.runner.limits.page_tokens + 1
        if length >= kept:
            raise InputError(
                f"prompt: {length} tokens leave no room in the KV cache, which holds {kept - 1}: "
                "give it more memory"
            )
        return min(context, kept) - length

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
        if hasattr(self, "engine"):
            self.runner.close()
            del self.runner, self.engine

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
    """Prompts that are answered together."""

    def __init__(
        self,
        llm: LLM,
        prompt_ids: Sequence[NDArray[np.uint32]],
        adapters: Sequence[str | None],
        sampling: SamplingParams,
    ) -> None:
        for name in adapters:
            if name is not None and name not in llm.adapters:
                raise UsageError(str(unknown_adapter(name, llm.adapters)))
        self._llm = llm
        self._adapters = adapters
        self._prompts = prompt_ids
        self._sampling = sampling
        self._answers: list[Answer] = []
        self._events: deque[Event] = deque()

    def events(self) -> Generator[Event, None, None]:
        """Run to the end. Closing the iterator cancels what is not done. Raises InputError."""
        llm, events = self._llm, self._events
        self._answers = [
            llm.answer(ids, self._sampling, index=i, emit=events.append)
            for i, ids in enumerate(self._prompts)
        ]
        try:
            for answer, adapter in zip(self._answers, self._adapters):
                llm.runner.submit(answer, adapter)
            left = len(self._answers)
            while left:
                llm.runner.run(lambda: bool(events))
                event = events.popleft()
                if event.error is not None:
                    raise event.error
                left -= event.finish_reason is not None
                yield event
        finally:
            for answer in self._answers:
                llm.runner.cancel(answer)
            llm.runner.settle()

    def results(self) -> list[Result]:
        """What has been generated so far, in the order of the prompts."""
        return [answer.result() for answer in self._answers]


def params(**sampling: Unpack[Sampling]) -> SamplingParams:
    """SamplingParams with a random seed if none is given. Raises UsageError."""
    if sampling.get("seed") is None:
        sampling["seed"] = secrets.randbits(32)
    return SamplingParams(**sampling)  # type: ignore[arg-type]
