"""Drafts change no token: each way in which an answer is made and ends, with and without them."""

import dataclasses
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infeng import LLM, InputError
from infeng.convert import Recipe, convert
from infeng.errors import UsageError
from infeng.generation import Answer, Constraint, SamplingParams
from infeng.sched import Limits
from infeng.testing import small_model as small
from infeng.testing.small_adapter import write_adapter
from infeng.token_cost import TokenCost

GREEDY = SamplingParams(max_tokens=60, temperature=0.0, logprobs=2, ignore_eos=True)
ROUND = [7, 30, 41, 99, 12]  # a phrase that comes again and again


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    source = small.write_huggingface(folder / "hf", small.random_weights())
    convert(source, folder / "m.infq", Recipe())
    write_adapter(folder / "a")
    return folder


@pytest.fixture(scope="module")
def models(folder: Path) -> Iterator[tuple[LLM, LLM]]:
    """Without drafts and with."""
    adapters = {"a": folder / "a"}
    with (
        LLM(folder / "m.infq", adapters=adapters) as plain,
        LLM(folder / "m.infq", adapters=adapters, speculate=6) as drafting,
    ):
        yield plain, drafting


def events(
    llm: LLM,
    prompt: list[int],
    params: SamplingParams,
    adapter: str | None = None,
    constraint: Constraint | None = None,
) -> tuple[Answer, list[Any]]:
    """An answer, and all that it told: ids, text, logprobs, why it ended, errors."""
    answer = llm.answer(prompt, params, constraint=constraint)
    llm.runner.submit(answer, adapter)
    llm.runner.run(lambda: llm.runner.scheduler.idle)
    told = [
        (e.id, e.text, e.finish_reason, e.logprobs, e.at, e.error and str(e.error))
        for e in answer.events
    ]
    assert llm.engine.kv_pages_taken == llm.runner.scheduler.pages_used
    return answer, told


def same(
    models: tuple[LLM, LLM],
    prompt: list[int],
    params: SamplingParams,
    adapter: str | None = None,
    make: Callable[[], Constraint | None] = lambda: None,
) -> Answer:
    """The answer with drafts, which is the one without."""
    plain, drafting = models
    _, want = events(plain, prompt, params, adapter, make())
    for _ in range(2):  # the second time the prompt's beginning is cached
        answer, got = events(drafting, prompt, params, adapter, make())
        assert got == want
    return answer


@pytest.mark.parametrize("adapter", [None, "a"])
def test_greedy(models: tuple[LLM, LLM], adapter: str | None) -> None:
    answer = same(models, [1, *ROUND * 4], dataclasses.replace(GREEDY, max_tokens=150), adapter)
    # A model of random weights goes round sooner or later.
    assert answer.accepted > (0 if adapter else 40)
    counters = models[1].runner.counters
    assert counters.accepted_tokens >= answer.accepted
    result = answer.result()
    assert (result.proposed, result.accepted) == (answer.proposed, answer.accepted)


def test_any_parameters(models: tuple[LLM, LLM]) -> None:
    source = random.Random(1)
    proposed = accepted = 0
    for _ in range(60):
        random_prompt = [source.randrange(3, small.VOCAB) for _ in range(source.randint(1, 30))]
        params = SamplingParams(
            max_tokens=source.randint(1, 100),
            temperature=source.choice([0.0, 0.3, 1.0, 2.0]),
            top_p=source.choice([0.5, 1.0]),
            top_k=source.choice([0, 2]),
            min_p=source.choice([0.0, 0.1]),
            seed=source.randrange(1 << 64),
            presence_penalty=source.choice([0.0, 0.0, 0.5]),
            frequency_penalty=source.choice([0.0, 0.0, -0.7, 0.5]),
            repetition_penalty=source.choice([1.0, 1.0, 0.8, 1.2]),
            logit_bias=source.choice([(), ((ROUND[0], 4.0), (ROUND[1], 4.0))]),
            logprobs=source.choice([None, 0, 3]),
            ignore_eos=source.random() < 0.5,
        )
        prompt = source.choice([random_prompt, ROUND * source.randint(1, 8), random_prompt * 3])
        answer = same(models, prompt, params, source.choice([None, "a"]))
        proposed += answer.proposed
        accepted += answer.accepted
    assert 0 < accepted < proposed


def test_every_length(models: tuple[LLM, LLM]) -> None:
    """The last token is never one of a draft too many."""
    for length in range(1, 25):
        answer = same(models, ROUND * 4, dataclasses.replace(GREEDY, max_tokens=length))
        assert len(answer.ids) == length and answer.finish_reason == "length"


def test_the_context_ends_an_answer(models: tuple[LLM, LLM]) -> None:
    answer = same(models, [1, *ROUND * 30], dataclasses.replace(GREEDY, max_tokens=1000))
    assert len(answer.prompt) + len(answer.ids) == 256 and answer.accepted > 10


def test_stop_texts_and_ends_of_sequence(models: tuple[LLM, LLM]) -> None:
    whole = same(models, ROUND * 4, dataclasses.replace(GREEDY, max_tokens=150))
    assert len(whole.text) > 60
    for start in range(0, len(whole.text) - 3, 7):
        stop = whole.text[start : start + 3]
        if stop.isascii() and stop.isprintable():
            answer = same(
                models, ROUND * 4, dataclasses.replace(GREEDY, max_tokens=150, stop=(stop,))
            )
            assert answer.finish_reason == "stop" and stop not in answer.text
    # An end in the middle of a draft: the token of the sequence's end is made likely.
    ended = 0
    for bias in (2.0, 4.0, 6.0):
        params = dataclasses.replace(
            GREEDY, max_tokens=150, ignore_eos=False, temperature=0.7, logit_bias=((2, bias),)
        )
        for seed in range(6):
            answer = same(models, ROUND * 4, dataclasses.replace(params, seed=seed))
            ended += answer.finish_reason == "eos"
    assert ended


class Turns(Constraint):
    """Odd and even ids in turn; after `most` tokens it breaks."""

    def __init__(self, most: int) -> None:
        self.count = 0
        self.most = most

    def allowed(self) -> NDArray[np.bool_]:
        if self.count == self.most:
            raise InputError("the constraint broke")
        return np.arange(small.VOCAB) % 2 == self.count % 2

    def take(self, token: int) -> None:
        assert token % 2 == self.count % 2
        self.count += 1


def test_constraints_are_kept_token_by_token(models: tuple[LLM, LLM]) -> None:
    prompt = [8, 31, 40, 99] * 6
    for bias in (0.0, 8.0, 100.0):
        likely = tuple((token, bias) for token in prompt[:4])
        params = dataclasses.replace(GREEDY, temperature=0.5, max_tokens=150, logit_bias=likely)
        answer = same(models, prompt, params, make=lambda: Turns(1000))
    assert answer.accepted
    # Whatever the step, what came before the error has been told.
    for most in range(30, 60):
        answer = same(models, prompt, params, make=lambda most=most: Turns(most))  # type: ignore[misc]
        assert len(answer.ids) == most and answer.finish_reason is None


def test_cancelled_between_drafts(models: tuple[LLM, LLM]) -> None:
    _, llm = models
    _, want = events(llm, ROUND * 5, GREEDY)
    for steps in range(1, 20):
        gone = llm.answer(ROUND * 5, dataclasses.replace(GREEDY, max_tokens=100))
        stays = llm.answer(ROUND * 5, GREEDY)
        llm.runner.submit(gone)
        llm.runner.submit(stays)
        for _ in range(steps):
            llm.runner.step()
        llm.runner.cancel(gone)
        llm.runner.run(lambda: llm.runner.scheduler.idle)
        assert [(e.id, e.logprobs) for e in stays.events] == [(e[0], e[3]) for e in want]
        assert gone.finish_reason is None
        llm.runner.settle()
        assert llm.engine.kv_pages_taken == llm.runner.scheduler.prefixes.nodes


def test_a_step_that_fails_is_done_without_drafts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only a draft breaks breaks nothing: no request would have failed without it."""
    with LLM(folder / "m.infq", speculate=6) as llm:
        _, want = events(llm, ROUND * 4, GREEDY)
        step = llm.engine.step
        failed = 0

        class Fragile:
            def __getattr__(self, name: str) -> Any:
                return getattr(engine, name)

            def step(self, batch: Any, out: Any, logits_rows: Any = None) -> Any:
                nonlocal failed
                if logits_rows is not None and sum(logits_rows) > len(batch):
                    failed += 1
                    raise ValueError("logits are not finite")
                return step(batch, out=out, logits_rows=logits_rows)

        engine = llm.engine
        monkeypatch.setattr(llm.runner, "engine", Fragile())
        llm.runner.drop_prefixes()
        answer, got = events(llm, ROUND * 4, GREEDY)
        assert got == want and failed > 3 and answer.accepted == 0


def test_wrong_arguments(folder: Path) -> None:
    with pytest.raises(UsageError, match="speculate is -1"):
        LLM(folder / "m.infq", speculate=-1)
    assert Limits(pages=4).draft_tokens == 0


def test_the_cost_of_a_token_is_learned() -> None:
    cost = TokenCost(0.1)
    source = random.Random(1)
    # A step takes 1 + 0.4 for each token, more as contexts grow, with noise; some are of prompts.
    for i in range(400):
        drafts = source.choice([0, 0, 0, 1, 4, 8])
        seconds = (1 + 0.4 * (3 + drafts)) * (1 + i / 400) * source.gauss(1, 0.03)
        cost.observe(3, drafts, source.choice([seconds] * 9 + [None]))
        if source.random() < 0.02:
            cost.observe(3, drafts, 50 * seconds)  # the machine did something else
    assert 0.3 < cost.value < 0.53
    for _ in range(400):
        cost.observe(3, 0, 1.0)
        cost.observe(3, 4, 0.9)
    assert cost.value == pytest.approx(0.01)
