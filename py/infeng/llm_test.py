"""The library on a small model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infeng import LLM, InputError
from infeng.chat_session import ChatSession
from infeng.convert import Recipe, convert
from infeng.errors import UsageError
from infeng.generation import SamplingParams
from infeng.llm import Sampling
from infeng.testing import small_model as small
from infeng.testing.small_adapter import write_adapter

HOT: Any = {"temperature": 2.0, "top_p": 1.0}


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLM]:
    folder = tmp_path_factory.mktemp("model")
    source = small.write_huggingface(folder / "hf", small.random_weights())
    convert(source, folder / "m.infq", Recipe())
    with LLM(folder / "m.infq", adapters={"a": write_adapter(folder / "adapter")}) as llm:
        yield llm


def assert_idle(llm: LLM) -> None:
    """Nothing runs, and the engine holds what the prefix cache holds."""
    scheduler = llm.runner.scheduler
    assert scheduler.idle and not scheduler.running
    assert llm.engine.kv_pages_taken == scheduler.prefixes.nodes == scheduler.pages_used


def test_a_batch_answers_as_each_alone(llm: LLM) -> None:
    prompts = ["Hello", "the theatre in the rain " * 3, "x"]
    adapters = [None, "a", "a"]
    together = llm.generate(prompts, adapter=adapters, max_tokens=30, seed=7, **HOT)
    for prompt, adapter, result in zip(prompts, adapters, together):
        alone = llm.generate(prompt, adapter=adapter, max_tokens=30, seed=7, **HOT)[0]
        assert alone.ids == result.ids and alone.text == result.text
        assert result.prompt_ids == llm.encode(prompt).tolist()
        assert result.finish_reason == ("eos" if result.ids[-1] == 2 else "length")
    assert_idle(llm)


def test_an_adapter_changes_the_answer(llm: LLM) -> None:
    plain, adapted = llm.generate(
        ["Hello", "Hello"], adapter=[None, "a"], max_tokens=20, temperature=0.0
    )
    assert plain.ids != adapted.ids


def test_long_prompts_are_fed_in_chunks(tmp_path: Path) -> None:
    source = small.write_huggingface(
        tmp_path / "hf", small.random_weights(), max_position_embeddings=2000
    )
    convert(source, tmp_path / "m.infq", Recipe())
    with LLM(tmp_path / "m.infq") as llm:
        ids = llm.encode("word " * 140, raw=True)
        assert len(ids) > 600
        sequence = llm.engine.new_sequence()
        expected = int(llm.engine.step([(sequence, ids, -1)])[0].argmax())
        result = llm.generate(["word " * 140], raw=True, temperature=0.0, max_tokens=1)[0]
        assert result.ids == [expected]


def test_streaming_gives_the_same(llm: LLM) -> None:
    results = llm.generate(["Hello", "x"], max_tokens=25, seed=3, **HOT)
    texts = ["", ""]
    ids: list[list[int]] = [[], []]
    for event in llm.generate(["Hello", "x"], max_tokens=25, seed=3, stream=True, **HOT):
        texts[event.index] += event.text
        ids[event.index].append(event.id)
    assert texts == [r.text for r in results]
    assert ids == [r.ids for r in results]


def test_closing_a_stream_frees_its_sequences(llm: LLM) -> None:
    stream = llm.generate(["Hello"], max_tokens=25, stream=True, **HOT)
    next(stream)
    assert llm.runner.scheduler.running
    stream.close()
    assert_idle(llm)


def test_stop_texts(llm: LLM) -> None:
    whole = llm.generate("Hello", max_tokens=60, seed=5, **HOT)[0].text
    for stop in (whole[3:5], whole[10:14], whole[20:21]):
        cut = whole[: whole.index(stop)]
        options: Sampling = {"max_tokens": 60, "seed": 5, "stop": (stop, "never there"), **HOT}
        result = llm.generate("Hello", **options)[0]
        assert (result.text, result.finish_reason) == (cut, "stop")
        streamed = "".join(e.text for e in llm.generate("Hello", stream=True, **options))
        assert streamed == cut


def test_the_context_ends_an_answer(llm: LLM) -> None:
    ids = llm.encode("a" * 250, raw=True)
    result = llm.generate(["a" * 250], raw=True, max_tokens=100, seed=1, **HOT)[0]
    assert len(ids) + len(result.ids) <= 256
    with pytest.raises(InputError, match="256 tokens leave no room"):
        llm.generate(["a" * 256], raw=True)


def test_wrong_arguments(llm: LLM) -> None:
    with pytest.raises(UsageError, match="adapter 'b' is not loaded; loaded: a"):
        llm.generate(["x"], adapter="b")
    with pytest.raises(UsageError, match="1 adapters for 2 prompts"):
        llm.generate(["x", "y"], adapter=["a"])
    with pytest.raises(UsageError, match="top_p is 0"):
        llm.generate(["x"], top_p=0)
    with pytest.raises(InputError, match="has no token"):
        llm.generate([""], raw=True)
    assert_idle(llm)


def test_a_chats_second_turn_is_computed_on_the_first(llm: LLM) -> None:
    params = SamplingParams(max_tokens=6, temperature=0.0)
    session = ChatSession(llm)
    first = [e.id for e in session.ask("Hello", params)]
    second = [e.id for e in session.ask("And?", params)]
    # By hand: the first turn's very tokens, then the template's text between the turns.
    start = llm.encode("Hello")
    end = "" if first[-1] == 2 else "<|im_end|>"
    between = llm.tokenizer.encode(
        end + "\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n",
        add_special_tokens=False,
    )
    ids = np.concatenate([start, np.array(first, np.uint32), between])
    sequence = llm.engine.new_sequence()
    expected = []
    for _ in second:
        expected.append(int(llm.engine.step([(sequence, ids, -1)])[0].argmax()))
        ids = np.array(expected[-1:], np.uint32)
    llm.engine.free_sequence(sequence)
    assert second == expected


def test_an_interrupted_answer_is_kept(llm: LLM) -> None:
    session = ChatSession(llm)
    params = SamplingParams(max_tokens=40, temperature=2.0, top_p=1.0, seed=5)
    events = session.ask("Hello", params)
    first = next(events)
    events.close()
    assert session.result().ids == [first.id]
    assert [*session.ask("Go on", params)]
    assert_idle(llm)
