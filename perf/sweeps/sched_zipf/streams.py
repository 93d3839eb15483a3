"""Eight answers at a time without a pause, as one unit of work after another: for comparisons.

Streams begin staggered and each answer is as long as the others, so that in every unit of
work exactly one answer ends and one begins: units are equal but for what is measured."""

from __future__ import annotations

from collections.abc import Sequence

from infeng.generation import Answer, SamplingParams
from infeng.llm import LLM
from infeng.runner import Runner
from perf.driver.tasks import MeasureError

STREAMS = 8
TOKENS = 32  # of an answer
_STEPS = TOKENS // STREAMS  # of a unit of work
UNIT = STREAMS * _STEPS  # tokens that a unit of work generates
_PROMPT = "Tell me about {}, please, in a few words and without any doubt."
_TOPICS = ("the sky", "a river", "bread", "the moon", "music", "glass", "the wind", "salt")


class Streams:
    """Answers of a runner, each stream with its own adapter."""

    def __init__(self, llm: LLM, runner: Runner, adapters: Sequence[str | None]) -> None:
        """adapters: of each stream."""
        self._llm = llm
        self._runner = runner
        self._adapters = adapters
        self._params = SamplingParams(max_tokens=TOKENS, temperature=0.0, ignore_eos=True)
        self._prompts = [llm.encode(_PROMPT.format(topic)) for topic in _TOPICS]
        self._answers: list[Answer] = []
        # Until the steady state: an adapter is loaded before the first step that wears it.
        for stream in range(len(adapters)):
            self._begin(stream)
            while not self._answers[stream].ids:
                self._step()
            for _ in range(_STEPS - 1):
                self._step()

    def unit(self) -> None:
        """Generate UNIT tokens."""
        before = self._runner.counters.new_tokens
        for _ in range(_STEPS):
            self._step()
        made = self._runner.counters.new_tokens - before
        if made != UNIT:
            raise MeasureError(f"a unit of work generated {made} tokens, expected {UNIT}")

    def _step(self) -> None:
        if not self._runner.step():
            self._runner.wait(0.01)
        for stream, answer in enumerate(self._answers):
            if answer.finish_reason is not None:
                self._begin(stream)

    def _begin(self, stream: int) -> None:
        answer = self._llm.answer(self._prompts[stream], self._params, emit=lambda event: None)
        self._runner.submit(answer, self._adapters[stream])
        self._answers[stream : stream + 1] = [answer]
