"""The scheduler against a simulated engine, which checks every plan."""

import copy
import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infeng.sched import Free, Limits, Plan, QueueFull, Request, Scheduler, TooLong
from infeng.sched.simulation import Simulation, next_token

SMALL = Limits(pages=12, page_tokens=4, running=4, queue=50, step_tokens=16, mixed_tokens=6)
ADAPTERS = ["a", "b", "c", "d"]


def alone(request: Request, memory: int | None = None) -> list[int]:
    """What a request must become whatever happens around it."""
    tokens = request.tokens[: request.prompt]
    for _ in range(request.max_new):
        tokens.append(next_token(request, tokens, memory))
    return tokens


def simulation(limits: Limits = SMALL, **more: Any) -> Simulation:
    s = Simulation(limits, **more)
    for name in ADAPTERS:
        s.scheduler.adapters.register(name, "digest of " + name, 10)
    return s


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 1 << 32),
    st.integers(12, 30),
    st.sampled_from([None, 20, 30]),
    st.sampled_from([0, 0, 1, 3, 9]),
)
def test_any_load_is_answered_as_each_alone(
    seed: int, pages: int, budget: int | None, drafts: int
) -> None:
    source = random.Random(seed)
    memory = source.choice([None, 1, 2]) if drafts else None
    limits = Limits(
        pages,
        page_tokens=4,
        running=source.randint(1, 6),
        queue=1000,
        step_tokens=source.choice([6, 16, 64]),
        mixed_tokens=source.choice([1, 4, 64]),
        draft_tokens=drafts,
    )
    s = simulation(limits, budget=budget, load_steps=source.randint(0, 3), memory=memory)
    s.scheduler.token_cost = source.choice([0.01, 0.1, 1.0])
    stems = [[source.randrange(50) for _ in range(20)] for _ in range(3)]
    requests, cancelled = [], []
    for _ in range(40):
        for _ in range(source.choice([0, 0, 1, 1, 4])):
            prompt = source.choice(stems)[: source.randint(1, 20)]
            prompt = prompt + [source.randrange(50) for _ in range(source.randint(0, 10))]
            requests.append(
                s.submit(
                    prompt,
                    source.randint(1, 12 if pages < 20 else 40),
                    source.choice([None, *ADAPTERS]),
                    priority=source.choice([0, 0, 1]),
                    deadline=source.choice([None, None, s.now + 15]),
                )
            )
        if requests and source.random() < 0.2:
            victim = source.choice(requests)
            if not victim.done:
                s.scheduler.finish(victim)
                cancelled.append(victim)
        if source.random() < 0.1:
            name = source.choice(ADAPTERS)
            s.scheduler.adapters.register(name, f"{name} at {s.now}", 10)
        s.step()
    s.run()
    late = [request for request, reason in s.ended if reason == "deadline"]
    assert len(s.finished) + len(cancelled) + len(late) == len(requests)
    for request in s.finished:
        assert request.tokens == alone(request, memory)
    # Nothing is left but the cache.
    s.step()
    assert s.scheduler.idle and not s.scheduler.running
    assert s.scheduler.prefixes.evictable == s.scheduler.prefixes.nodes
    assert len(s.engine.users) == s.scheduler.pages_used == s.scheduler.prefixes.nodes
    assert len(s.engine.sequences) == s.scheduler.prefixes.nodes
    assert all(v.users == 0 for v in s.engine.resident)


def test_a_preempted_request_ends_though_others_wait_for_its_adapter_to_leave() -> None:
    s = simulation(budget=10)
    preempted = s.submit([1, 2, 3, 4], 20, "a", priority=1)
    s.step()
    s.submit([*range(20)], 28)
    while not preempted.preemptions:
        s.step()
    s.submit([5], 2, "b")
    s.submit([6], 2, "a")
    s.run(200)
    assert len(s.finished) == 4 and preempted.tokens == alone(preempted)


def test_the_same_calls_give_the_same_plans() -> None:
    def play() -> list[list[tuple[int, int, int]]]:
        s = simulation(budget=20)
        for i in range(12):
            s.submit([i % 3] * (3 + i), 5, [None, *ADAPTERS][i % 5])
        s.run()
        return [[(r.request.id, r.start, r.count) for r in p.rows] for p in s.plans]

    assert play() == play()


def test_prompts_do_not_hold_up_answers() -> None:
    s = simulation()
    talker = s.submit([1], 12)
    s.step()
    s.submit(list(range(30)), 2)
    while not talker.done:
        plan = s.step()
        assert plan.rows[0].request is talker
        assert plan.tokens <= 1 + SMALL.mixed_tokens


def test_no_adapter_starves_another() -> None:
    """One adapter floods the queue first; the others' few requests do not wait for its end."""
    s = simulation()
    flood = [s.submit([7, 7, i], 8, "a") for i in range(40)]
    late = [s.submit([7, i], 8, name) for i, name in enumerate(["b", "c", None])]
    s.run()
    order = [r.id for r in s.finished]
    for request in late:
        # With fair shares each is among the first few to run.
        assert order.index(request.id) < 12
    assert order.index(flood[-1].id) > 35


def test_shares_of_adapters_are_even_under_load() -> None:
    s = simulation(Limits(pages=60, page_tokens=4, running=6, queue=1000, step_tokens=32))
    # a asks for much at a time, b for little: both get as many tokens.
    for i in range(60):
        s.submit([1, i], 30, "a")
    for i in range(300):
        s.submit([2, i], 6, "b")
    got = {"a": 0, "b": 0}
    for _ in range(200):
        for row in s.step().rows:
            assert row.request.adapter is not None
            got[row.request.adapter] += row.count
    assert 0.8 < got["a"] / got["b"] < 1.25


def test_an_adapter_that_waits_for_room_gets_it() -> None:
    """Two adapters fit; two are in use without a pause, the third must get in all the same."""
    s = simulation(budget=20)
    for _ in range(3):
        s.submit([1], 6, "a")
        s.submit([2], 6, "b")
    s.step()
    third = s.submit([3], 3, "c")
    for _ in range(60):
        s.submit([1], 6, "a")
        s.submit([2], 6, "b") if len(s.scheduler.waiting) < 40 else None
        s.step()
        if third.done:
            break
    assert third.done and third.admitted is not None


def test_reload_in_place_does_not_touch_what_runs() -> None:
    s = simulation()
    old = s.submit([1, 2], 10, "a")
    while not old.computed:
        s.step()
    s.scheduler.adapters.register("a", "new", 10)
    new = s.submit([1, 2], 10, "a")
    s.run()
    assert old.version and old.version.digest == "digest of a"
    assert new.version and new.version.digest == "new"
    assert old.tokens == alone(old) and new.tokens == alone(new) and old.tokens != new.tokens
    s.step()
    assert {v.digest for v in s.engine.resident} == {"new"}


def test_an_adapter_that_cannot_be_loaded_fails_its_requests_only() -> None:
    s = simulation()
    s.failing = {"b"}
    good, bad = s.submit([1], 3, "a"), s.submit([1], 3, "b")
    s.run()
    assert s.finished == [good]
    assert [(r, why) for r, why in s.ended] == [(bad, "adapter")]


def test_unloading_fails_who_waits_and_not_who_runs() -> None:
    s = simulation(Limits(pages=12, page_tokens=4, running=1, queue=9, step_tokens=8))
    runs, waits = s.submit([1], 5, "a"), s.submit([2], 5, "a")
    while not runs.computed:
        s.step()
    assert s.scheduler.adapters.remove("a")
    s.run()
    assert s.finished == [runs] and s.ended == [(waits, "adapter")]
    assert not s.engine.resident


def test_preemption_takes_the_most_junior() -> None:
    s = simulation(Limits(pages=6, page_tokens=4, running=4, queue=9, step_tokens=16))
    first, second = s.submit([1] * 4, 16), s.submit([2] * 4, 16)
    s.run()
    assert first.preemptions == 0 and second.preemptions > 0
    assert [r.id for r in s.finished] == [first.id, second.id]
    assert second.tokens == alone(second)


def test_priorities() -> None:
    s = simulation(Limits(pages=12, page_tokens=4, running=1, queue=9, step_tokens=8))
    requests = [s.submit([i], 2, priority=p) for i, p in enumerate([1, 1, 0, 2, 0])]
    s.run()
    assert [requests.index(r) for r in s.finished] == [2, 4, 0, 1, 3]


def test_deadlines() -> None:
    s = simulation()
    s.submit([1], 30, deadline=5.0)
    s.submit([1], 3, deadline=50.0)
    s.run()
    assert [(r.max_new, why) for r, why in s.ended] == [(30, "deadline")]
    assert [r.max_new for r in s.finished] == [3]


def test_limits() -> None:
    s = simulation(Limits(pages=4, page_tokens=4, running=2, queue=2, step_tokens=8))
    with pytest.raises(TooLong, match="10 \\+ 8 tokens take 5 pages of the KV cache, which has 4"):
        s.submit([1] * 10, 8)
    # A burst at an idle scheduler: two will run at once, two wait.
    s.submit([1] * 10, 7)
    for _ in range(3):
        s.submit([1], 1)
    with pytest.raises(QueueFull, match="4 requests are under way already"):
        s.submit([1], 1)
    s.step()
    with pytest.raises(QueueFull, match="4 requests are under way already"):
        s.submit([1], 1)
    while len(s.finished) < 1:
        s.step()
    s.submit([1], 1)
    s.run()
    assert len(s.finished) == 5
    with pytest.raises(ValueError, match="running is 0"):
        Limits(pages=4, running=0)


def test_a_prefix_is_computed_once() -> None:
    s = simulation(Limits(pages=40, page_tokens=4, running=2, queue=9, step_tokens=64))
    prompt = list(range(18))
    s.submit(prompt, 2)
    s.run()
    again, other = s.submit(prompt, 2), s.submit(prompt, 2, "a")
    longer = s.submit(s.finished[0].tokens + [9] * 5, 2)
    s.run()
    assert again.reused == 16 and other.reused == 0
    assert longer.reused == 16  # the page that the answer is in was not full
    for request in s.finished:
        assert request.tokens == alone(request)
    # An adapter with the same content has the same prefixes, by whatever name.
    s.scheduler.adapters.register("b", "digest of a", 10)
    third = s.submit(prompt, 2, "b")
    s.run()
    assert third.reused == 16


class Twins(Scheduler):
    """Makes each plan once more without drafts, in a copy of its state."""

    def plan(self, now: float) -> Plan:
        twin = copy.deepcopy(self)
        twin.limits = dataclasses.replace(self.limits, draft_tokens=0)
        without, plan = Scheduler.plan(twin, now), super().plan(now)
        assert undrafted(plan) == undrafted(without)
        # Besides, pages that are only cached may go.
        common = len(without.sequences)
        assert plan.sequences[:common] == without.sequences
        assert all(isinstance(change, Free) for change in plan.sequences[common:])
        if self._private_pages > twin._private_pages:
            # Pages for drafts: nobody waits for one, and each that runs can have its next.
            assert not len(self.waiting)
            free = self.limits.pages - self.pages_used + self.prefixes.evictable
            assert free >= len(self.running)
        return plan


def undrafted(plan: Plan) -> list[Any]:
    """What a plan does besides drafts."""
    rows = [(r.request.id, r.handle, r.start, r.count, r.samples) for r in plan.rows]
    return [
        rows,
        [r.id for r in plan.preempted],
        [v.name for v in plan.loads],
        [v.name for v in plan.unloads],
        [(e.request.id, e.reason) for e in plan.ended],
    ]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(12, 40), st.sampled_from([1, 4, 16]))
def test_drafts_displace_nothing(seed: int, pages: int, drafts: int) -> None:
    """Each plan is the one that a scheduler in the same state makes without drafts, but for them."""
    source = random.Random(seed)
    limits = dataclasses.replace(
        SMALL, pages=pages, draft_tokens=drafts, mixed_tokens=source.choice([2, 6, 64])
    )
    s = simulation(limits, memory=1)
    s.scheduler.__class__ = Twins
    for _ in range(60):
        if source.random() < 0.3:
            prompt = [source.randrange(50) for _ in range(source.randint(1, 20))]
            s.submit(prompt, source.randint(1, 25), source.choice([None, *ADAPTERS]))
        plan = s.step()
        drafted = sum(len(row.draft) for row in plan.rows)
        others = sum(row.count for row in plan.rows) - len(plan.rows)
        assert drafted == 0 or drafted + others <= limits.mixed_tokens
    s.run()


def test_a_text_that_goes_round_takes_fewer_steps() -> None:
    limits = Limits(pages=200, page_tokens=4, running=4, queue=9, draft_tokens=8)
    s = simulation(limits, memory=1)
    requests = [s.submit([i, i + 1], 200) for i in range(3)]
    s.run()
    for request in requests:
        assert request.tokens == alone(request, 1)
    assert len(s.plans) < 0.65 * 200
    plain = simulation(dataclasses.replace(limits, draft_tokens=0), memory=1)
    again = [plain.submit([i, i + 1], 200) for i in range(3)]
    plain.run()
    assert [r.tokens for r in again] == [r.tokens for r in requests]
    assert len(plain.plans) >= 200


def test_drafts_wait_for_nobodys_pages() -> None:
    """A text that goes round beside one that fills the cache: no more preemptions than without."""

    def preemptions(drafts: int) -> int:
        limits = Limits(pages=14, page_tokens=4, running=3, queue=9, draft_tokens=drafts)
        s = simulation(limits, memory=1)
        for i in range(3):
            s.submit([i], 24)
        s.run()
        return s.scheduler.preemptions

    assert preemptions(8) <= preemptions(0)
