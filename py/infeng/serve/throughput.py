"""The built-in load: what this machine serves, with adapters and without, in tokens per second.

A closed loop: so many clients, each of which asks again as soon as it has its answer. It drives the
runner as the server does, without HTTP."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from infeng.generation import Answer, Event, SamplingParams
from infeng.llm import LLM

_TOPICS = (
    "the sky", "a river", "bread", "the moon", "a bicycle", "music", "a volcano", "glass",
    "the wind", "a library", "salt", "a lighthouse", "snow", "a clock", "coffee", "a forest",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Load:
    """clients: requests at a time. requests: in all. max_tokens: of each answer, which does not
    end before."""

    clients: int = 8
    requests: int = 48
    max_tokens: int = 64


@dataclasses.dataclass(frozen=True)
class Measured:
    """tokens_per_s: generated, of all clients together. p50_ms, p95_ms: of a whole request.
    token_p95_ms: from token to token. ttft_p95_ms: to the first token."""

    requests: int
    prompt_tokens: int
    new_tokens: int
    seconds: float
    tokens_per_s: float
    p50_ms: float
    p95_ms: float
    token_p95_ms: float
    ttft_p95_ms: float


def measure(
    llm: LLM,
    adapters: Sequence[str | None],
    load: Load,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Answer load.requests requests, each with the next of `adapters`. Raises InputError."""
    params = SamplingParams(max_tokens=load.max_tokens, temperature=0.0, ignore_eos=True)
    prompts = [
        llm.encode(f"Tell me about {_TOPICS[i % len(_TOPICS)]}, number {i}.")
        for i in range(load.requests)
    ]
    events: deque[tuple[Answer, Event]] = deque()
    answers: list[Answer] = []
    done: list[tuple[Answer, float]] = []

    def begin() -> None:
        i = len(answers)
        answer = llm.answer(prompts[i], params, index=i)
        answer.emit = lambda event: events.append((answer, event))
        answers.append(answer)
        llm.runner.submit(answer, adapters[i % len(adapters)])

    llm.runner.drop_prefixes()
    started = time.perf_counter()
    for _ in range(min(load.clients, load.requests)):
        begin()
    while len(done) < load.requests:
        llm.runner.run(lambda: bool(events))
        answer, event = events.popleft()
        if event.error is not None:
            raise event.error
        if event.finish_reason is not None:
            done.append((answer, time.perf_counter()))
            progress(len(done), load.requests)
            if len(answers) < load.requests:
                begin()
    seconds = time.perf_counter() - started
    whole = [(at - answer.started) * 1e3 for answer, at in done]
    gaps = np.concatenate([np.diff(answer.times) for answer, _ in done]) * 1e3
    first = [(answer.times[0] - answer.started) * 1e3 for answer, _ in done]
    new = sum(len(answer.ids) for answer, _ in done)
    return Measured(
        requests=load.requests,
        prompt_tokens=sum(map(len, prompts)),
        new_tokens=new,
        seconds=seconds,
        tokens_per_s=new / seconds,
        p50_ms=statistics.median(whole),
        p95_ms=float(np.percentile(whole, 95)),
        token_p95_ms=float(np.percentile(gaps, 95)) if len(gaps) else 0.0,
        ttft_p95_ms=float(np.percentile(first, 95)),
    )
