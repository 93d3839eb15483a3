"""What Linux tells of a machine in files, under any root: tests make their own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from infeng.errors import why

_CGROUP = "sys/fs/cgroup"
_NAMED = 0.1  # of a CPU, from where a program is named
_V1_UNLIMITED = 1 << 62  # what the first version of control groups says for no limit, about


class Unreadable(Exception):
    """The system does not tell; the message says which file, and why."""


@dataclasses.dataclass(frozen=True)
class CpuTime:
    """Where the time of the CPUs went, in clock ticks since the start.

    own: of this process and the children that it waited for; steal: taken by the hypervisor."""

    busy: int
    steal: int
    all: int
    own: int


@dataclasses.dataclass(frozen=True)
class Others:
    """CPUs that other programs of this machine used, CPUs that the hypervisor took away, and the
    names of the programs that used most, as far as they may be seen."""

    busy: float
    stolen: float
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class CpuLimit:
    """cpus: CPUs' time that the control groups allow, None without limit. throttled: share of
    the periods in which the limit held this process's group back, None if it is not counted."""

    cpus: float | None
    throttled: float | None


@dataclasses.dataclass(frozen=True)
class MemoryLimit:
    """Of the control group with the least room: its limit, and what it could still take, in
    bytes; pages of files that could be dropped count as room."""

    limit: int
    room: int


class Host:
    """The machine below a root folder. All methods raise Unreadable."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def text(self, path: str) -> str:
        """A file's text, stripped. path: without the leading slash."""
        try:
            return (self.root / path).read_text(errors="replace").strip()
        except OSError as e:
            raise Unreadable(f"/{path}: {why(e)}") from e

    def number(self, path: str) -> int:
        """A file's only number."""
        text = self.text(path)
        try:
            return int(text)
        except ValueError:
            raise Unreadable(f"/{path}: expected a number, found {text[:40]!r}") from None

    def fields(self, path: str) -> dict[str, int]:
        """The lines `name number`, also with a colon, of a file. A unit after it is ignored."""
        found = {}
        for line in self.text(path).splitlines():
            words = line.replace(":", " ").split()
            if len(words) >= 2 and words[1].isdigit():
                found[words[0]] = int(words[1])
        return found

    # CPUs.

    def governors(self, cpus: list[int]) -> dict[str, int]:
        """How many of the CPUs have which frequency governor."""
        found: dict[str, int] = {}
        for cpu in cpus:
            name = self.text(f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")
            found[name] = found.get(name, 0) + 1
        return found

    def siblings(self, cpus: list[int]) -> list[list[int]]:
        """Groups of those CPUs that are hardware threads of one core."""
        cores: dict[str, list[int]] = {}
        for cpu in cpus:
            path = f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
            cores.setdefault(self.text(path), []).append(cpu)
        return [group for group in cores.values() if len(group) > 1]

    def online_cpus(self) -> int:
        """How many CPUs the system runs."""
        return len(_cpu_list(self.text("sys/devices/system/cpu/online"), "/sys/.../cpu/online"))

    def memory_nodes(self) -> int:
        """How many NUMA nodes have memory."""
        path = "sys/devices/system/node/has_memory"
        return len(_cpu_list(self.text(path), f"/{path}"))

    def cpu_time(self, cpus: list[int]) -> CpuTime:
        """Of those CPUs, up to now."""
        busy = steal = everything = 0
        wanted = {f"cpu{cpu}" for cpu in cpus}
        for line in self.text("proc/stat").splitlines():
            name, *counts = line.split()
            if name not in wanted:
                continue
            wanted.discard(name)
            # user nice system idle iowait irq softirq steal; guests are in user already.
            ticks = [int(c) for c in counts[:8] if c.isdigit()]
            if len(ticks) < 8:
                raise Unreadable("/proc/stat: expected eight numbers for each CPU")
            idle, stolen = ticks[3] + ticks[4], ticks[7]
            busy += sum(ticks) - idle - stolen
            steal += stolen
            everything += sum(ticks)
        if wanted:
            raise Unreadable(f"/proc/stat: has no {', '.join(sorted(wanted))}")
        # After the name, which may hold anything and ends with the last bracket.
        own = self.text("proc/self/stat").rpartition(")")[2].split()[11:15]
        if len(own) < 4 or not all(o.isdigit() for o in own):
            raise Unreadable("/proc/self/stat: expected four times of this process")
        return CpuTime(busy, steal, everything, sum(map(int, own)))

    def others(self, cpus: list[int], seconds: float) -> Others:
        """What happens on those CPUs over the next seconds."""
        before, programs = self.cpu_time(cpus), self._programs()
        time.sleep(seconds)
        after, later = self.cpu_time(cpus), self._programs()
        busy, stolen = used_by_others(before, after, len(cpus))
        used: dict[str, int] = {}
        for pid, (name, ticks) in later.items():
            used[name] = used.get(name, 0) + ticks - programs.get(pid, (name, 0))[1]
        least = _NAMED * (after.all - before.all) / len(cpus)
        most = sorted((n for n in used if used[n] > least), key=lambda n: -used[n])
        return Others(busy, stolen, tuple(most[:3]))

    def _programs(self) -> dict[str, tuple[str, int]]:
        """Name and clock ticks of each process that may be seen, but this one."""
        found = {}
        for path in (self.root / "proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
                head, _, rest = path.read_text(errors="replace").rpartition(")")
                ticks = rest.split()[11:13]
                if path.parent.name != str(os.getpid()):
                    found[path.parent.name] = (head.partition("(")[2], sum(map(int, ticks)))
        return found

    # Memory.

    def available_bytes(self) -> int:
        """Memory that programs can still have, as the system estimates it."""
        try:
            return self.fields("proc/meminfo")["MemAvailable"] * 1024
        except KeyError:
            raise Unreadable("/proc/meminfo: has no MemAvailable") from None

    def huge_pages(self) -> str:
        """When the system uses huge pages by itself: always, madvise or never."""
        path = "sys/kernel/mm/transparent_hugepage/enabled"
        text = self.text(path)
        chosen = text.partition("[")[2].partition("]")[0]
        if not chosen:
            raise Unreadable(f"/{path}: expected a choice in brackets, found {text[:40]!r}")
        return chosen

    # Control groups.

    def cpu_limit(self) -> CpuLimit:
        """The tightest limit on CPU time of the groups that this process is in."""
        limits, throttled = [], []
        for folder, version in self._groups("cpu"):
            try:
                if version == 2:
                    quota, period = self.text(f"{folder}/cpu.max").split()
                else:
                    quota = self.text(f"{folder}/cpu.cfs_quota_us")
                    period = self.text(f"{folder}/cpu.cfs_period_us")
            except Unreadable:
                continue  # the topmost group has no limit, hence no file
            except ValueError:
                raise Unreadable(f"/{folder}/cpu.max: expected two words") from None
            if quota.isdigit() and period.isdigit() and int(period) > 0:
                limits.append(int(quota) / int(period))
                with contextlib.suppress(Unreadable):  # the limit is known all the same
                    counts = self.fields(f"{folder}/cpu.stat")
                    if counts.get("nr_periods", 0) > 0:
                        throttled.append(counts.get("nr_throttled", 0) / counts["nr_periods"])
        return CpuLimit(min(limits, default=None), max(throttled, default=None))

    def memory_limit(self) -> MemoryLimit | None:
        """The limit that leaves this process the least room; None if there is none."""
        found: list[MemoryLimit] = []
        for folder, version in self._groups("memory"):
            names = ("max", "current") if version == 2 else ("limit_in_bytes", "usage_in_bytes")
            try:
                limit = self.text(f"{folder}/memory.{names[0]}")
                used = self.number(f"{folder}/memory.{names[1]}")
                counts = self.fields(f"{folder}/memory.stat")
            except Unreadable:
                continue
            if limit.isdigit() and int(limit) < _V1_UNLIMITED:
                droppable = sum(
                    counts.get(n, counts.get(f"total_{n}", 0))
                    for n in ("inactive_file", "active_file")
                )
                found.append(MemoryLimit(int(limit), max(0, int(limit) - used + droppable)))
        return min(found, key=lambda m: m.room, default=None)

    def _groups(self, controller: str) -> Iterator[tuple[str, int]]:
        """Folders, from the process's own group up to the topmost, and the version."""
        lines = [line.split(":", 2) for line in self.text("proc/self/cgroup").splitlines()]
        if not all(len(line) == 3 for line in lines):
            raise Unreadable("/proc/self/cgroup: expected lines of three fields")
        seen = False
        for _, controllers, group in lines:
            if not controllers:
                base, version = _CGROUP, 2
            elif controller in controllers.split(","):
                base, version = f"{_CGROUP}/{controllers}", 1
                if not (self.root / base).is_dir():
                    base = f"{_CGROUP}/{controller}"
            else:
                continue
            path = PurePosixPath(group)
            # In a container the path may be that of the host, which is not there.
            if ".." in path.parts or not (self.root / base / group.lstrip("/")).is_dir():
                path = PurePosixPath("/")
            for folder in (path, *path.parents):
                place = f"{base}/{str(folder).lstrip('/')}".rstrip("/")
                if (self.root / place).is_dir():
                    seen = True
                    yield place, version
        if not seen:
            raise Unreadable(f"/{_CGROUP}: no control group for {controller} is mounted")


def used_by_others(before: CpuTime, after: CpuTime, cpus: int) -> tuple[float, float]:
    """(CPUs used by others, CPUs taken by the hypervisor) between two moments."""
    passed = after.all - before.all
    if passed <= 0:
        raise Unreadable("/proc/stat: no time has passed")
    busy = after.busy - before.busy - (after.own - before.own)
    return max(0.0, busy / passed * cpus), max(0.0, (after.steal - before.steal) / passed * cpus)


def _cpu_list(text: str, where: str) -> list[int]:
    """What `0-3,8` means."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        raise Unreadable(f"{where}: expected a list of numbers, found {text[:40]!r}") from None
    return found
