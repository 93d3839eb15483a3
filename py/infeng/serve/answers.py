"""From a request's body to answers, and from their events to OpenAI's JSON."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from infeng.errors import InputError
from infeng.generation import Answer, Event, SamplingParams
from infeng.llm import LLM
from infeng.serve import errors
from infeng.serve.engine_thread import EngineThread, Stream
from infeng.serve.grammar import Grammars
from infeng.serve.protocol import ChatRequest, CompletionRequest

Maker = Callable[[Callable[[Event], None]], Answer]
_SEEDS = 1 << 64
_LEAST_LOGPROB = -9999.0  # JSON has no infinity
_COMPLETION_TOKENS = 16  # OpenAI's default for the older route
_DONE = b"data: [DONE]\n\n"


class Call:
    """One request under way. format: how its choices are written."""

    def __init__(self, llm: LLM, body: ChatRequest | CompletionRequest) -> None:
        self.body = body
        self.chat = isinstance(body, ChatRequest)
        self.stream = Stream()
        self.id = ("chatcmpl-" if self.chat else "cmpl-") + uuid.uuid4().hex
        self.created = int(time.time())
        self._llm = llm

    # Beginning.

    def makers(self, grammars: Grammars) -> list[Maker]:
        """What makes each answer: prompts in order, n choices of each. Raises InputError."""
        body = self.body
        prompts = self._prompts()
        seed = secrets.randbits(63) if body.seed is None else body.seed % _SEEDS
        makers: list[Maker] = []
        for ids in prompts:
            for choice in range(body.choices):
                # As many different answers as choices, each as if asked for with its own seed.
                params = self._params((seed + choice) % _SEEDS)
                makers.append(self._maker(ids, params, len(makers), grammars))
        return makers

    def _prompts(self) -> list[list[int]]:
        llm, body = self._llm, self.body
        if isinstance(body, ChatRequest):
            return [llm.encode([m.message() for m in body.messages]).tolist()]
        prompts = []
        for prompt in body.prompts:
            if isinstance(prompt, str):
                prompts.append(llm.encode(prompt, raw=True).tolist())
                continue
            if max(prompt) >= llm.engine.vocab_size:
                raise InputError(
                    f"prompt: token {max(prompt)} is outside the vocabulary of "
                    f"{llm.engine.vocab_size}"
                )
            llm.room(len(prompt))
            prompts.append(prompt)
        if len(prompts) * body.choices > 128:
            raise InputError(f"prompt: {len(prompts)} x {body.choices} answers are more than 128")
        return prompts

    def _params(self, seed: int) -> SamplingParams:
        body = self.body
        context = self._llm.config.max_position_embeddings
        if isinstance(body, ChatRequest):
            most = body.max_completion_tokens or body.max_tokens
            logprobs = (body.top_logprobs or 0) if body.logprobs else None
            values = body.sampling(most, logprobs, context)
        else:
            values = body.sampling(body.max_tokens, body.logprobs, _COMPLETION_TOKENS)
        for token, _ in values["logit_bias"]:
            if token >= self._llm.engine.vocab_size:
                raise InputError(f"logit_bias: token {token} is outside the vocabulary")
        return SamplingParams(seed=seed, **values)

    def _maker(
        self, ids: list[int], params: SamplingParams, index: int, grammars: Grammars
    ) -> Maker:
        form = self.body.response_format
        constrained = form is not None and form.type != "text"
        schema = form.json_schema.schema_ if form is not None and form.json_schema else None

        def make(emit: Callable[[Event], None]) -> Answer:
            constraint = grammars.json(schema) if constrained else None
            return self._llm.answer(ids, params, index=index, emit=emit, constraint=constraint)

        return make

    # Ending.

    async def whole(self, engine: EngineThread) -> dict[str, Any]:
        """The response once all answers are there. Raises ApiError."""
        chances: list[list[tuple[Event, str]]] = [[] for _ in self.stream.answers]
        async for event in engine.events(self.stream):
            if event.error is not None:
                raise errors.of(event.error)
            chances[event.index].append((event, event.text))
        choices = [self._choice(answer, chances[i]) for i, answer in enumerate(self.stream.answers)]
        return self._envelope(choices, chunk=False) | {"usage": self._usage()}

    async def chunks(self, engine: EngineThread) -> AsyncIterator[bytes]:
        """The response as server-sent events."""
        body = self.body
        usage = body.stream_options is not None and body.stream_options.include_usage
        extra = {"usage": None} if usage else {}
        begun = failed = False
        async for event in engine.events(self.stream):
            if self.chat and not begun:
                # Not before there is a token: who passes the stream on may still choose a status.
                for answer in self.stream.answers:
                    delta = {"role": "assistant", "content": ""}
                    yield self._sse([self._delta(answer.index, delta, None, None)], extra)
            begun = True
            if event.error is not None:
                # The status has gone out already.
                failed = True
                yield _data(errors.of(event.error).body)
                continue
            logprobs = self._logprobs([(event, event.text)])
            if not (event.text or event.finish_reason or logprobs):
                continue
            if self.chat:
                delta = {"content": event.text} if event.text else {}
                choice = self._delta(event.index, delta, logprobs, _reason(event.finish_reason))
            else:
                choice = {
                    "index": event.index,
                    "text": event.text,
                    "logprobs": logprobs,
                    "finish_reason": _reason(event.finish_reason),
                }
            yield self._sse([choice], extra)
        if usage and not failed:
            yield self._sse([], {"usage": self._usage()})
        yield _DONE

    def _sse(self, choices: list[dict[str, Any]], extra: dict[str, Any]) -> bytes:
        return _data(self._envelope(choices, chunk=True) | extra)

    def _envelope(self, choices: list[dict[str, Any]], chunk: bool) -> dict[str, Any]:
        kind = "text_completion"
        if self.chat:
            kind = "chat.completion.chunk" if chunk else "chat.completion"
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.body.model,
            "choices": choices,
        }

    def _usage(self) -> dict[str, Any]:
        answers = self.stream.answers
        # A prompt that is answered n times is counted once.
        prompt = sum(len(a.prompt) for a in answers[:: self.body.choices])
        new = sum(len(a.ids) for a in answers)
        cached = sum(
            a.request.reused for a in answers[:: self.body.choices] if a.request is not None
        )
        return {
            "prompt_tokens": prompt,
            "completion_tokens": new,
            "total_tokens": prompt + new,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def _choice(self, answer: Answer, events: list[tuple[Event, str]]) -> dict[str, Any]:
        common = {
            "index": answer.index,
            "logprobs": self._logprobs(events),
            "finish_reason": _reason(answer.finish_reason),
        }
        if self.chat:
            message = {"role": "assistant", "content": answer.text, "refusal": None}
            return common | {"message": message}
        return common | {"text": answer.text}

    @staticmethod
    def _delta(
        index: int, delta: dict[str, Any], logprobs: dict[str, Any] | None, reason: str | None
    ) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}

    def _logprobs(self, events: Sequence[tuple[Event, str]]) -> dict[str, Any] | None:
        """OpenAI's two forms: one entry a token, or parallel lists."""
        asked = [event.logprobs for event, _ in events if event.logprobs is not None]
        if not asked:
            return None
        if self.chat:
            return {
                "content": [
                    self._token(*own) | {"top_logprobs": [self._token(*t) for t in top]}
                    for own, *top in asked
                ],
                "refusal": None,
            }
        offsets, length = [], 0
        for event, text in events:
            if event.logprobs is not None:
                offsets.append(length)
            length += len(text)
        return {
            "tokens": [self._piece(own[0]) for own, *_ in asked],
            "token_logprobs": [_finite(own[1]) for own, *_ in asked],
            "top_logprobs": [{self._piece(t): _finite(p) for t, p in top} for _, *top in asked],
            "text_offset": offsets,
        }

    def _piece(self, token: int) -> str:
        return self._llm.tokenizer.decode([token])

    def _token(self, token: int, logprob: float) -> dict[str, Any]:
        piece = self._piece(token)
        return {"token": piece, "logprob": _finite(logprob), "bytes": list(piece.encode())}


def _finite(logprob: float) -> float:
    return max(logprob, _LEAST_LOGPROB)


def _reason(reason: str | None) -> str | None:
    return "stop" if reason == "eos" else reason


def _data(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
