"""A conversation that goes on from turn to turn on the very tokens of its past."""

from __future__ import annotations

from collections.abc import Generator

from infeng.chat import Message
from infeng.errors import UsageError, native_errors
from infeng.generation import Answer, Event, Result, SamplingParams
from infeng.llm import LLM
from infeng.runner import unknown_adapter


class ChatSession:
    """One conversation with a model, wearing one adapter or none.

    What was computed for earlier turns is in the prefix cache, so a turn costs its own tokens."""

    def __init__(self, llm: LLM, adapter: str | None = None) -> None:
        if adapter is not None and adapter not in llm.adapters:
            raise UsageError(str(unknown_adapter(adapter, llm.adapters)))
        self._llm = llm
        self._adapter = adapter
        self._messages: list[Message] = []
        self._seen = ""  # the text that _ids stand for
        self._ids: list[int] = []

    def ask(self, text: str, sampling: SamplingParams) -> Generator[Event, None, None]:
        """Answer the next message of the user. Closing the iterator keeps what was answered.

        Raises InputError, and the conversation is then as before."""
        llm = self._llm
        messages = [*self._messages, Message(role="user", content=text)]
        rendered = llm.template.render(messages)
        answer = llm.answer(self._prompt(rendered), sampling)
        llm.runner.submit(answer, self._adapter)
        self._messages = messages
        try:
            while answer.finish_reason is None or answer.events:
                llm.runner.run(lambda: bool(answer.events))
                event = answer.events.popleft()
                if event.error is not None:
                    raise event.error
                yield event
        finally:
            llm.runner.cancel(answer)
            llm.runner.settle()
            self._remember(rendered, answer)

    def result(self) -> Result:
        """The last answer, as far as it came."""
        return self._answer.result()

    def _prompt(self, rendered: str) -> list[int]:
        # Only a template that leaves earlier turns as they were allows to keep their tokens.
        if not rendered.startswith(self._seen):
            self._seen, self._ids = "", []
        with native_errors("prompt"):
            new = self._llm.tokenizer.encode(rendered[len(self._seen) :], add_special_tokens=False)
        return [*self._ids, *new.tolist()]

    def _remember(self, rendered: str, answer: Answer) -> None:
        self._answer = answer
        self._messages.append(Message(role="assistant", content=answer.text))
        if answer.finish_reason == "stop":
            self._seen, self._ids = "", []  # the tokens say more than the text
            return
        kept = answer.ids[:-1] if answer.finish_reason == "eos" else answer.ids
        self._seen, self._ids = rendered + answer.text, [*answer.prompt, *kept]
