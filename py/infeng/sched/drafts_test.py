"""Drafts: what is proposed, and that guessing wrong costs next to nothing."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infeng.sched.drafts import Drafts


def looked_up(tokens: list[int], count: int) -> list[int]:
    """By hand: what followed the last three tokens when they were there last, going round."""
    for end in range(len(tokens) - 1, 2, -1):
        if tokens[end - 3 : end] == tokens[-3:]:
            found = tokens[end:]
            return (found * (count // len(found) + 1))[:count]
    return []


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 4), st.integers(1, 12))
def test_proposals_are_what_followed(seed: int, letters: int, most: int) -> None:
    source = random.Random(seed)
    # Ids up to 2^20 and beyond a byte are told apart.
    ids = [source.randrange(1 << 20) for _ in range(letters)]
    tokens = [source.choice(ids) for _ in range(source.randint(1, 40))]
    drafts = Drafts(most)
    for _ in range(60):
        limit = source.randint(0, most)
        draft = drafts.propose(tokens, limit, 0.01)
        assert len(draft) <= limit
        assert draft == looked_up(tokens, len(draft))
        if looked_up(tokens, 1) and limit:
            assert draft, "there is something in the account"
        new = source.randint(1, 3)
        tokens += [source.choice(ids) for _ in range(new)]
        drafts.gained(new)
        if draft:
            drafts.tried(len(draft), len(draft), 0.01)  # as if they had been good


def test_a_copy_is_tried_in_ever_longer_pieces() -> None:
    text = list(range(100, 200))
    tokens = text + text[:3]
    drafts = Drafts(16)
    lengths = []
    while len(tokens) < 170:
        draft = drafts.propose(tokens, 16, 0.1)
        assert draft == text[len(tokens) - 100 :][: len(draft)]
        lengths.append(len(draft))
        tokens += text[len(tokens) - 100 :][: len(draft) + 1]
        drafts.gained(len(draft) + 1)
        drafts.tried(len(draft), len(draft), 0.1)
    assert lengths[:5] == [2, 4, 8, 16, 16]


@pytest.mark.parametrize("price", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("right", [0.0, 0.01, 0.3])
def test_little_is_lost_to_wrong_drafts(price: float, right: float) -> None:
    """A text in which everything has been there before and hardly any goes on as it did."""
    source = random.Random(1)
    drafts = Drafts(8)
    tokens = [1, 2, 3]
    lost, count = 0.0, 0
    for count in range(1, 2001):
        draft = drafts.propose(tokens, 8, price)
        accepted = 0
        while accepted < len(draft) and source.random() < right:
            accepted += 1
        lost += len(draft) * price - accepted
        # Three that are there all the time, whatever came.
        tokens += [*draft[:accepted], *([1, 2, 3] if len(tokens) < 40 else [1, 2, 3, 4])]
        drafts.gained(1 + accepted)
        if draft:
            drafts.tried(len(draft), accepted, price)
        # Tokens in whose time nothing came, against those that have come.
        assert lost <= 0.5 + 0.02 * (count + 1)
    assert lost <= 0.02 * count
