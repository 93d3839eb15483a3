"""The prefix cache against a plain dictionary of prefixes."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from infeng.sched.prefix import Node, PrefixCache


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 32))
def test_is_a_dictionary_of_prefixes(seed: int) -> None:
    source = random.Random(seed)
    cache = PrefixCache(2)
    held: list[tuple[str, list[Node]]] = []
    plain: dict[tuple[str, tuple[int, ...]], int] = {}
    handle = 0
    for _ in range(200):
        root = source.choice("xy")
        tokens = [source.randrange(2) for _ in range(source.randint(0, 9))]
        path = cache.match(root, tokens, len(tokens))
        lengths = [n for n in range(0, len(tokens) + 1, 2) if (root, tuple(tokens[:n])) in plain]
        assert len(path) * 2 == max(lengths, default=0)
        assert [n.handle for n in path] == [
            plain[root, tuple(tokens[: 2 * i + 2])] for i in range(len(path))
        ]
        cache.hold(path)
        while len(tokens) >= 2 * len(path) + 2:
            handle += 1
            n = 2 * len(path)
            node = cache.insert(root, path, tokens[n : n + 2], handle)
            assert node is not None
            assert cache.insert(root, path, tokens[n : n + 2], 0) is None
            path.append(node)
            plain[root, tuple(tokens[: n + 2])] = handle
        held.append((root, path))
        if source.random() < 0.6:
            cache.release(*held.pop(source.randrange(len(held))))
        if source.random() < 0.3:
            gone = cache.evict()
            kept = {n.handle for _, p in held for n in p}
            if gone is None:
                assert kept >= set(plain.values())
            else:
                assert gone not in kept
                key = next(k for k, v in plain.items() if v == gone)
                assert not any(k[0] == key[0] and k[1][:-2] == key[1] for k in plain), "no leaf"
                del plain[key]
        assert cache.nodes == len(plain)
        users = {n.handle for _, p in held for n in p}
        assert cache.evictable == len(set(plain.values()) - users)


def test_the_least_recently_used_goes_first() -> None:
    cache = PrefixCache(1)
    for i, block in enumerate([5, 6, 7]):
        node = cache.insert("r", [], [block], i)
        assert node is not None
        cache.release("r", [node])
    path = cache.match("r", [5], 1)
    cache.hold(path)
    assert cache.evict() == 1
    cache.release("r", path)
    assert [cache.evict(), cache.evict(), cache.evict()] == [2, 0, None]
