"""Residency of adapters by bytes."""

import pytest

from infeng.errors import InputError
from infeng.sched import Residency, Version


def load(r: Residency, version: Version) -> None:
    assert not r.want(version) and r.loads.pop() is version
    r.loaded(version, version.bytes)
    assert r.want(version)


def test_the_least_recently_used_makes_room() -> None:
    r = Residency(30)
    a, b, c, d = (r.register(n, n, 10) for n in "abcd")
    for version in (a, b, c):
        load(r, version)
    r.want(a)
    load(r, d)
    assert r.unloads == [b] and b.state == "absent" and r.held_bytes == 30


def test_what_is_worn_stays() -> None:
    r = Residency(20)
    a, b, c = (r.register(n, n, 10) for n in "abc")
    load(r, a)
    load(r, b)
    r.acquire(a)
    r.acquire(b)
    assert not r.want(c) and not r.loads
    assert a.draining and not b.draining  # as many as are needed
    r.release(a)
    load(r, c)
    assert r.unloads == [a] and not a.draining
    r.stop_draining()
    assert not b.draining


def test_a_new_content_retires_the_old_one() -> None:
    r = Residency()
    old = r.register("a", "1", 10)
    load(r, old)
    r.acquire(old)
    new = r.register("a", "2", 10)
    assert r.current("a") is new and old.retired and not r.unloads
    load(r, new)
    r.release(old)
    assert r.unloads == [old]
    assert r.remove("a") and r.unloads == [old, new]
    assert not r.remove("a") and r.names == []


def test_removed_while_loading() -> None:
    r = Residency()
    a = r.register("a", "1", 10)
    r.want(a)
    r.remove("a")
    r.loaded(a, 10)
    assert r.unloads == [a] and r.held_bytes == 0


def test_too_large_for_the_budget() -> None:
    r = Residency(5)
    with pytest.raises(InputError, match="takes 10 bytes, more than the 5"):
        r.register("a", "1", 10)
    assert r.names == []


def test_failed_loads_take_no_room() -> None:
    r = Residency(10)
    a, b = r.register("a", "1", 10), r.register("b", "1", 10)
    r.want(a)
    assert not r.want(b) and r.loads == [a]
    r.failed(a, "broken")
    assert not r.want(a)
    load(r, b)
