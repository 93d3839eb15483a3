"""The thread that steps, and the bridge from it to the event loop of the server."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Sequence

from infeng.generation import Answer, Event
from infeng.llm import LLM
from infeng.runner import Runner


class Stream:
    """Events of the answers to one request, for one task of the event loop."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()
        self.answers: list[Answer] = []


class EngineThread:
    """Steps while there is work. Events of a step reach the event loop all at once."""

    def __init__(self, llm: LLM, observe: Callable[[Answer, Event], None]) -> None:
        """observe: told each event, in the thread that steps."""
        self.llm = llm
        self.runner: Runner = llm.runner
        self._observe = observe
        self._outbox: list[tuple[Stream, Event]] = []
        self._stop = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.failure: str | None = None  # why the thread has died, a bug

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self.failure is None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the step that it is in."""
        self._stop = True
        self.runner.wake()
        self._thread.join()

    def submit(
        self,
        stream: Stream,
        make: Sequence[Callable[[Callable[[Event], None]], Answer]],
        adapter: str | None,
        *,
        priority: int,
        deadline: float | None,
    ) -> None:
        """Let all answers of a request be made, or none. Raises what Runner.submit raises."""
        try:
            for maker in make:
                answer = maker(lambda event: None)
                answer.emit = self._emitter(stream, answer)
                self.runner.submit(answer, adapter, priority=priority, deadline=deadline)
                stream.answers.append(answer)
        except BaseException:
            self.cancel(stream)
            raise

    def cancel(self, stream: Stream) -> None:
        """Give up what is not done of a request."""
        for answer in stream.answers:
            self.runner.cancel(answer)

    async def events(self, stream: Stream) -> AsyncIterator[Event]:
        """Each event of a request's answers, until all have ended. Cancels them if left early."""
        left = len(stream.answers)
        try:
            while left:
                event = await stream.queue.get()
                if event.error is not None or event.finish_reason is not None:
                    left -= 1
                yield event
        finally:
            self.cancel(stream)

    def _emitter(self, stream: Stream, answer: Answer) -> Callable[[Event], None]:
        def emit(event: Event) -> None:
            self._observe(answer, event)
            self._outbox.append((stream, event))

        return emit

    def _run(self) -> None:
        try:
            while not self._stop:
                worked = self.runner.step()
                self._flush()
                if not worked:
                    self.runner.wait(0.5)
        except BaseException:
            self.failure = traceback.format_exc()
            print(self.failure, flush=True)

    def _flush(self) -> None:
        if not self._outbox or self._loop is None:
            return
        batch, self._outbox = self._outbox, []
        try:
            self._loop.call_soon_threadsafe(_deliver, batch)
        except RuntimeError:
            self._stop = True  # the loop is closed: nobody listens any more


def _deliver(batch: list[tuple[Stream, Event]]) -> None:
    for stream, event in batch:
        stream.queue.put_nowait(event)


def unix_time() -> int:
    return int(time.time())
