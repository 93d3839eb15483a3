"""Which CPUs to measure on, and what else the machine does meanwhile."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

_STAT = Path("/proc/stat")
_FREQUENCY = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"


def _times() -> dict[int, tuple[int, int, int]]:
    """Per CPU: clock ticks idle, stolen by the hypervisor, and all."""
    times = {}
    try:
        lines = _STAT.read_text().splitlines()
    except OSError:
        return {}
    for line in lines:
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(f) for f in fields[:8]]
            times[int(name[3:])] = (ticks[3] + ticks[4], ticks[7], sum(ticks))
    return times


def choose_cores(count: int, look_s: float = 0.03) -> tuple[int, ...]:
    """The `count` allowed CPUs that were idlest just now, lowest numbers first among equals."""
    allowed = sorted(os.sched_getaffinity(0))
    if count >= len(allowed):
        return tuple(allowed)
    before = _times()
    time.sleep(look_s)
    after = _times()
    idle = {c: after[c][0] - before[c][0] for c in allowed if c in before and c in after}
    return tuple(sorted(sorted(allowed, key=lambda c: -idle.get(c, 0))[:count]))


@dataclass
class Watch:
    """Load, stolen time and frequency over a run; sample() is called between measurements."""

    load_before: float = field(default_factory=lambda: os.getloadavg()[0])
    loads: list[float] = field(default_factory=list)
    ghz: list[float] = field(default_factory=list)
    _ticks: dict[int, tuple[int, int, int]] = field(default_factory=_times)

    def sample(self) -> None:
        self.loads.append(os.getloadavg()[0])
        for cpu in os.sched_getaffinity(0):
            try:
                self.ghz.append(int(Path(_FREQUENCY.format(cpu)).read_text()) / 1e6)
            except (OSError, ValueError):
                continue  # virtual machines have no such file; the sweep measures instead

    def report(self) -> dict[str, object]:
        """load_average: before and highest; steal_pct: of all CPUs' time; ghz: lowest, highest."""
        now = _times()
        total = sum(now[c][2] - t[2] for c, t in self._ticks.items() if c in now)
        stolen = sum(now[c][1] - t[1] for c, t in self._ticks.items() if c in now)
        return {
            "load_average": [self.load_before, max([self.load_before, *self.loads])],
            "steal_pct": round(100 * stolen / total, 2) if total else None,
            "ghz": [round(min(self.ghz), 3), round(max(self.ghz), 3)] if self.ghz else None,
        }
