"""Which adapters are in memory: least recently used ones leave when others need the bytes."""

from __future__ import annotations

import dataclasses
from typing import Literal

from infeng.errors import InputError


@dataclasses.dataclass(eq=False)
class Version:
    """One content of an adapter. digest: of its files. bytes: it takes in memory. users: running
    requests that wear it. retired: the name has another content now, or none."""

    name: str
    digest: str
    bytes: int
    number: int
    state: Literal["absent", "loading", "resident", "failed"] = "absent"
    error: str = ""
    users: int = 0
    used: int = 0
    retired: bool = False
    draining: bool = False  # gets no new requests, so that another adapter gets its bytes


class Residency:
    """Adapters by name, and what of them is to be loaded and unloaded.

    budget: bytes that may be resident or loading at a time, None without limit."""

    def __init__(self, budget: int | None = None) -> None:
        self.budget = budget
        self.loads: list[Version] = []  # for the caller to begin; it reports loaded() or failed()
        self.unloads: list[Version] = []  # for the caller to carry out
        self._current: dict[str, Version] = {}
        self._held: list[Version] = []  # resident or loading
        self._uses = 0
        self._versions = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that are resident or loading."""
        return sum(v.bytes for v in self._held)

    @property
    def names(self) -> list[str]:
        """The adapters that requests may name."""
        return [*self._current]

    def current(self, name: str) -> Version | None:
        """The content that new requests get."""
        return self._current.get(name)

    def register(self, name: str, digest: str, size: int) -> Version:
        """Make a content the current one of a name. Running requests end on the one they have.

        Raises InputError if it cannot fit alone."""
        if self.budget is not None and size > self.budget:
            raise InputError(
                f"adapter {name!r} takes {size} bytes, more than the {self.budget} bytes that "
                "adapters may take in all"
            )
        self.remove(name)
        self._versions += 1
        version = Version(name, digest, size, self._versions)
        self._current[name] = version
        return version

    def remove(self, name: str) -> bool:
        """Forget a name. Its content stays while running requests wear it."""
        version = self._current.pop(name, None)
        if version is None:
            return False
        version.retired = True
        self._unload_if_over(version)
        return True

    def want(self, version: Version) -> bool:
        """Whether a content is resident; if not, its load is begun as soon as there is room."""
        self._uses += 1
        version.used = self._uses
        if version.state == "absent" and self._make_room(version):
            version.state = "loading"
            self._held.append(version)
            self.loads.append(version)
        return version.state == "resident"

    def stop_draining(self) -> None:
        """Forget who waits for room: want() says it anew."""
        for version in self._held:
            version.draining = False

    def acquire(self, version: Version) -> None:
        """One more running request wears it."""
        version.users += 1

    def release(self, version: Version) -> None:
        """One running request less wears it."""
        version.users -= 1
        self._unload_if_over(version)

    def loaded(self, version: Version, size: int) -> None:
        """A load has ended well. size: bytes that it takes."""
        version.state, version.bytes = "resident", size
        self._unload_if_over(version)

    def failed(self, version: Version, error: str) -> None:
        """A load has failed."""
        version.state, version.error = "failed", error
        self._held.remove(version)

    def _make_room(self, version: Version) -> bool:
        if self.budget is None:
            return True
        missing = self.held_bytes + version.bytes - self.budget
        idle = [v for v in self._held if v.state == "resident" and not v.users]
        idle.sort(key=lambda v: v.used)
        if missing > sum(v.bytes for v in idle):
            # Those in use would be used for ever if they kept getting requests.
            busy = [v for v in self._held if v.users and not v.retired]
            freed = sum(v.bytes for v in self._held if v.draining or v in idle)
            for other in sorted(busy, key=lambda v: v.used):
                if freed >= missing:
                    break
                if not other.draining:
                    other.draining = True
                    freed += other.bytes
            return False
        for other in idle:
            if missing <= 0:
                break
            missing -= other.bytes
            self._unload(other)
        return True

    def _unload_if_over(self, version: Version) -> None:
        if version.retired and not version.users and version.state == "resident":
            self._unload(version)

    def _unload(self, version: Version) -> None:
        version.state = "absent"
        version.draining = False
        self._held.remove(version)
        self.unloads.append(version)
