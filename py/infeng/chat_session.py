"""A conversation whose tokens stay in the engine from turn to turn."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from infeng.chat import Message
from infeng.errors import native_errors
from infeng.generation import Event, Result, Running, SamplingParams, step_until_done
from infeng.llm import LLM


class ChatSession:
    """One conversation with a model, wearing one adapter or none."""

    def __init__(self, llm: LLM, adapter: str | None = None) -> None:
        self._llm = llm
        self._adapter = llm.adapter_id(adapter)
        self._messages: list[Message] = []
        self._sequence: int | None = None
        self._seen = ""  # the text that the sequence's tokens, _pending too, stand for
        self._pending: list[int] = []  # sampled last turn and not yet computed

    def ask(self, text: str, sampling: SamplingParams) -> Generator[Event, None, None]:
        """Answer the next message of the user. Closing the iterator keeps what was answered.

        Raises InputError, and the conversation is then as before."""
        messages = [*self._messages, Message(role="user", content=text)]
        rendered = self._llm.template.render(messages)
        running = self._continue(rendered, sampling) or self._restart(rendered, sampling)
        self._messages = messages
        try:
            yield from step_until_done(self._llm.engine, [running])
        finally:
            self._remember(rendered, running)

    def result(self) -> Result:
        """The last answer, as far as it came."""
        return self._running.result([])

    def close(self) -> None:
        """Free the conversation's tokens."""
        if self._sequence is not None:
            self._llm.engine.free_sequence(self._sequence)
            self._sequence = None

    def _continue(self, rendered: str, sampling: SamplingParams) -> Running | None:
        # Only a template that leaves earlier turns as they were fed allows it.
        if self._sequence is None or not rendered.startswith(self._seen):
            return None
        with native_errors("prompt"):
            new = self._llm.tokenizer.encode(rendered[len(self._seen) :], add_special_tokens=False)
        feed = np.concatenate([np.array(self._pending, np.uint32), new])
        length = self._llm.engine.sequence_length(self._sequence)
        return self._llm.start(self._sequence, feed, length, sampling, self._adapter)

    def _restart(self, rendered: str, sampling: SamplingParams) -> Running:
        with native_errors("prompt"):
            feed = self._llm.tokenizer.encode(rendered, add_special_tokens=False)
        self._llm.room(len(feed))
        self.close()
        self._sequence = self._llm.engine.new_sequence()
        return self._llm.start(self._sequence, feed, 0, sampling, self._adapter)

    def _remember(self, rendered: str, running: Running) -> None:
        self._running = running
        self._messages.append(Message(role="assistant", content=running.text))
        pending = running.unfed(self._llm.engine.sequence_length(running.sequence))
        if pending is None:
            self.close()
        else:
            self._seen, self._pending = rendered + running.text, pending
