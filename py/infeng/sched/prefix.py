"""The prefix cache: pages of keys and values that later requests can begin with.

A tree for each (model, adapter), whose edges are the tokens of one page. A node stands for one page
and holds a sequence of the engine that ends with it, so its page lives as long as the node. Whoever
holds a node holds its ancestors too; so nodes that nobody holds can go, leaves first."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Hashable, Iterable, Sequence


@dataclasses.dataclass(eq=False)
class Node:
    """One page. users: running requests that hold it. used: a count that grows with each use."""

    parent: Node | None
    block: Hashable
    handle: int
    users: int = 0
    used: int = 0
    children: dict[Hashable, Node] = dataclasses.field(default_factory=dict)


class PrefixCache:
    """Which prefixes are held. Tells handles; the engine's sequences are the caller's."""

    def __init__(self, page_tokens: int) -> None:
        self._page_tokens = page_tokens
        self._roots: dict[Hashable, dict[Hashable, Node]] = {}
        self._uses = 0
        self._leaves: list[tuple[int, int, Hashable, Node]] = []  # a heap; entries may be stale
        self._entries = 0
        self.nodes = 0
        self.evictable = 0
        # Tokens asked for and found, for statistics.
        self.asked_tokens = 0
        self.found_tokens = 0

    def match(self, root: Hashable, tokens: Sequence[int], limit: int) -> list[Node]:
        """The nodes of the longest prefix of tokens[:limit], whole pages only."""
        path: list[Node] = []
        children = self._roots.get(root)
        size = self._page_tokens
        while children and (len(path) + 1) * size <= limit:
            start = len(path) * size
            node = children.get(tuple(tokens[start : start + size]))
            if node is None:
                break
            path.append(node)
            children = node.children
        return path

    def hold(self, path: Iterable[Node]) -> None:
        """Keep nodes, a path from a root, until release."""
        self._uses += 1
        for node in path:
            if node.users == 0:
                self.evictable -= 1
            node.users += 1
            node.used = self._uses

    def release(self, root: Hashable, path: Sequence[Node]) -> None:
        """What hold or insert gave back."""
        self._uses += 1
        for node in reversed(path):
            node.users -= 1
            node.used = self._uses
            if node.users == 0:
                self.evictable += 1
                self._offer(root, node)

    def insert(
        self, root: Hashable, path: Sequence[Node], block: Sequence[int], handle: int
    ) -> Node | None:
        """Add the page that follows a path, held. None if the cache has those tokens already."""
        parent = path[-1] if path else None
        children = parent.children if parent else self._roots.setdefault(root, {})
        key = tuple(block)
        if key in children:
            return None
        node = Node(parent, key, handle, users=1, used=self._uses)
        children[key] = node
        self.nodes += 1
        return node

    def evict(self) -> int | None:
        """Drop the least recently used page that nobody holds; its handle, None if there is none."""
        while self._leaves:
            used, _, root, node = heapq.heappop(self._leaves)
            if node.users or node.children or node.used != used or node.handle < 0:
                continue
            siblings = node.parent.children if node.parent else self._roots[root]
            del siblings[node.block]
            if not siblings and node.parent is None:
                del self._roots[root]
            self.nodes -= 1
            self.evictable -= 1
            handle, node.handle = node.handle, -1
            if node.parent is not None:
                self._offer(root, node.parent)
            return handle
        return None

    def _offer(self, root: Hashable, node: Node) -> None:
        if node.users == 0 and not node.children:
            self._entries += 1  # so that nodes are never compared
            heapq.heappush(self._leaves, (node.used, self._entries, root, node))
