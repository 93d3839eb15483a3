"""Random requests in any company are the same requests alone, bit for bit in logprobs.

Random arrival, adapters, prompts with common beginnings, sampling, pieces of prompts, preemption,
reloads of adapters, cancelled neighbours, threads, drafts. INFENG_REQUESTS says how many requests."""

import dataclasses
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infeng import LLM
from infeng.adapter import open_adapter
from infeng.convert import Recipe, convert
from infeng.generation import Answer, Event, SamplingParams
from infeng.testing import small_model as small
from infeng.testing.small_adapter import adapter_tensors, write_adapter

REQUESTS = int(os.environ.get("INFENG_REQUESTS", "200"))
PAGE = 64

Open = Callable[..., LLM]


@dataclasses.dataclass(frozen=True)
class Ask:
    prompt: list[int]
    adapter: str | None
    params: SamplingParams


def asks(source: random.Random, llm: LLM, count: int, longest: int, tokens: int) -> list[Ask]:
    """Prompts of up to `longest` tokens, some of which begin alike, answers of up to `tokens`."""
    vocab = llm.engine.vocab_size
    stems = [[source.randrange(3, vocab) for _ in range(longest)] for _ in range(3)]
    phrase = [source.randrange(3, vocab) for _ in range(7)]
    stems.append((phrase * longest)[:longest])  # in which everything has been there before
    made = []
    for _ in range(count):
        prompt = source.choice(stems)[: source.randint(1, longest)]
        prompt = prompt + [source.randrange(3, vocab) for _ in range(source.randint(0, 20))]
        params = SamplingParams(
            max_tokens=source.randint(1, tokens),
            temperature=source.choice([0.0, 0.7, 1.5]),
            top_p=source.choice([0.8, 1.0]),
            top_k=source.choice([0, 0, 20]),
            seed=source.randrange(1 << 64),
            repetition_penalty=source.choice([1.0, 1.0, 1.3]),
            frequency_penalty=source.choice([0.0, 0.0, 0.5]),
            logprobs=3,
            ignore_eos=source.random() < 0.5,
        )
        made.append(Ask(prompt, source.choice([None, *llm.adapters]), params))
    return made


def take(answer: Answer) -> list[Any]:
    assert all(event.error is None for event in answer.events)
    return [(e.id, e.text, e.finish_reason, e.logprobs) for e in answer.events]


def alone(open_model: Open, wanted: list[Ask]) -> list[list[Any]]:
    """Each on an engine with one thread that does nothing else, whose prefix cache is empty."""
    got = []
    with open_model(threads=1) as llm:
        for ask in wanted:
            llm.runner.drop_prefixes()
            answer = llm.answer(ask.prompt, ask.params)
            llm.runner.submit(answer, ask.adapter)
            llm.runner.run(lambda answer=answer: answer.finish_reason is not None)  # type: ignore[misc]
            got.append(take(answer))
    return got


def in_company(
    open_model: Open,
    wanted: list[Ask],
    source: random.Random,
    pages: int,
    paths: dict[str, Path],
    drafts: int = 0,
) -> tuple[list[list[Any]], LLM]:
    with open_model() as llm:
        page_bytes = llm.engine.kv_page_bytes
    llm = open_model(
        threads=source.choice([1, 2, 3]),
        kv_memory=pages * page_bytes,
        max_running=source.choice([6, 8, 16]),
        step_tokens=source.choice([16, 100, 256]),
        mixed_tokens=source.choice([1, 7, 64]) if not drafts else source.choice([7, 64]),
        speculate=drafts,
    )
    answers: list[Answer] = []
    while len(answers) < len(wanted):
        for ask in wanted[len(answers) : len(answers) + source.choice([0, 0, 1, 2, 6])]:
            answer = llm.answer(ask.prompt, ask.params)
            llm.runner.submit(answer, ask.adapter, priority=source.choice([0, 0, 0, 1]))
            answers.append(answer)
            if source.random() < 0.2:
                # A neighbour that goes away in the middle.
                other = llm.answer(ask.prompt, dataclasses.replace(ask.params, max_tokens=30))
                llm.runner.submit(other, source.choice([None, *llm.adapters]))
                for _ in range(source.randint(0, 4)):
                    llm.runner.step()
                llm.runner.cancel(other)
            if source.random() < 0.05:
                name = source.choice(llm.adapters)
                llm.runner.add_adapter(name, open_adapter(paths[name], llm.base))
        for _ in range(source.choice([1, 1, 2, 5])):
            llm.runner.step()
    llm.runner.run(lambda: all(a.finish_reason is not None for a in answers))
    llm.runner.settle()
    scheduler = llm.runner.scheduler
    assert not scheduler.running and not len(scheduler.waiting)
    assert llm.engine.kv_pages_taken == scheduler.pages_used == scheduler.prefixes.nodes
    return [take(answer) for answer in answers], llm


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    source = small.write_huggingface(
        folder / "hf", small.random_weights(), max_position_embeddings=1000
    )
    convert(source, folder / "m.infq", Recipe())
    write_adapter(folder / "a")
    write_adapter(folder / "b", adapter_tensors(4, down_rank=16), rank_pattern={"down_proj": 16})
    write_adapter(folder / "c", lora_alpha=40)
    return folder


@pytest.mark.parametrize(("seed", "drafts"), [(1, 0), (2, 0), (3, 4), (4, 16)])
def test_small_model(small_folder: Path, seed: int, drafts: int) -> None:
    paths = {n: small_folder / n for n in "abc"}

    def open_model(**options: Any) -> LLM:
        return LLM(small_folder / "m.infq", adapters=paths, **options)

    source = random.Random(seed)
    with open_model() as llm:
        wanted = asks(source, llm, REQUESTS, longest=300, tokens=120)
    together, llm = in_company(open_model, wanted, source, 9, paths, drafts)
    with llm:
        assert llm.runner.scheduler.preemptions > 0
        assert llm.runner.scheduler.prefixes.found_tokens > 0
        counters = llm.runner.counters
        # Some drafts are right, some are not.
        assert (0 < counters.accepted_tokens < counters.draft_tokens) == (drafts > 0)
    assert together == alone(open_model, wanted)


@pytest.mark.parametrize("drafts", [0, 8])
def test_default_model(drafts: int) -> None:
    paths = {n: Path("testdata/adapters", n) for n in ("json", "upper")}

    def open_model(**options: Any) -> LLM:
        return LLM(adapters=paths, **options)

    source = random.Random(3)
    with open_model() as llm:
        # A sixth of the small model's: the suite must stay quick.
        wanted = asks(source, llm, max(20, REQUESTS // 6), longest=44, tokens=40)
    together, llm = in_company(open_model, wanted, source, 5, paths, drafts)
    with llm:
        assert llm.runner.scheduler.preemptions > 0
        assert (llm.runner.counters.draft_tokens > 0) == (drafts > 0)
    assert together == alone(open_model, wanted)


def test_events_are_compared(small_folder: Path) -> None:
    """The comparison above can fail: another seed is another answer."""
    with LLM(small_folder / "m.infq") as llm:
        got: list[list[Event]] = []
        for seed in (1, 2):
            params = SamplingParams(max_tokens=20, temperature=1.5, seed=seed, logprobs=3)
            answer = llm.answer([1, 5, 9], params)
            llm.runner.submit(answer)
            llm.runner.run(lambda answer=answer: answer.finish_reason is not None)  # type: ignore[misc]
            got.append([*answer.events])
    assert got[0] != got[1]
