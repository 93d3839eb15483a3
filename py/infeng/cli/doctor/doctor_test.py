"""What the doctor makes of machines, which are folders with files as Linux has them."""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infeng.cli.doctor import findings as module
from infeng.cli.doctor import host
from infeng.cli.doctor.findings import SEVERITIES, Finding, Model, Subject, examine, roof
from infeng.cli.doctor.host import CpuTime, Host, Unreadable, used_by_others

GiB = 1 << 30

# A quiet machine of four CPUs, each a core, in no container.
QUIET = {
    "proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n",
    "proc/stat": "".join(f"cpu{i} 100 0 50 5000 10 0 5 0 0 0\n" for i in ("", 0, 1, 2, 3)),
    "later/proc/stat": "".join(f"cpu{i} 100 0 50 5100 10 0 5 0 0 0\n" for i in range(4)),
    "proc/self/stat": "7 (a ) name) S 1 7 7 0 -1 0 0 0 0 0 20 5 0 0 20 0 1 0 0 0 0\n",
    "proc/self/cgroup": "0::/user.slice/mine\n",
    "sys/fs/cgroup/user.slice/mine/cpu.stat": "usage_usec 5\n",
    "sys/devices/system/cpu/online": "0-3\n",
    "sys/devices/system/node/has_memory": "0\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
} | {
    f"sys/devices/system/cpu/cpu{i}/{name}": text
    for i in range(4)
    for name, text in (
        ("cpufreq/scaling_governor", "performance\n"),
        ("topology/thread_siblings_list", f"{i}\n"),
    )
}

MODEL = Model(
    name="m",
    file_bytes=1 * GiB,
    memory_bytes=2 * GiB,
    token_bytes=10**9,
    context_bytes=10**5,
    context=4096,
)

ABSENT = "this CPU (X) lacks amx_tile amx_int8"


def cpu(chosen: str = "amx", why_not: str = "", compiled: bool = True) -> dict[str, Any]:
    names = ("scalar", "avx2", "avx512", "amx")
    tiers: dict[str, Any] = {n: {"compiled": True, "usable": True, "why_not": ""} for n in names}
    tiers["amx"] = {"compiled": compiled, "usable": not why_not, "why_not": why_not}
    return {"tiers": tiers, "chosen": chosen, "l3_bytes": 32 << 20}


SUBJECT = Subject(cpu(), [0, 1, 2, 3], 4, MODEL, 20e9, Path("/"))


class Disk(NamedTuple):
    free: int


class Told(NamedTuple):
    severity: str
    found: str
    advice: str


@pytest.fixture(autouse=True)
def _another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs this matters, and half a second passes at once."""

    def sleep(_: float) -> None:
        """What `later` holds has come."""
        shutil.copytree(tmp_path / "later", tmp_path, dirs_exist_ok=True)

    monkeypatch.setattr(host.time, "sleep", sleep)
    monkeypatch.setattr(module.os, "access", lambda path, mode: True)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Disk(500 * GiB))
    monkeypatch.setattr(module.resource, "getrlimit", lambda what: (resource.RLIM_INFINITY,) * 2)


def look(
    root: Path, changes: dict[str, str | None] | None = None, subject: Subject = SUBJECT
) -> dict[str, Told]:
    """What is found on the quiet machine with other files; None takes one away."""
    for path, text in (QUIET | (changes or {})).items():
        if text is not None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
    told = examine(Host(root), subject)
    order = [SEVERITIES.index(f.severity) for f in told]
    assert order == sorted(order)
    for f in told:
        assert "\n" not in f.found + f.advice and f.found
        # Whatever is no good news comes with what to do.
        assert f.advice or f.severity == "good", f
    return {f.check: Told(f.severity, f.found, f.advice) for f in told}


def test_a_machine_without_fault(tmp_path: Path) -> None:
    told = look(tmp_path)
    assert {name for name, f in told.items() if f.severity != "good"} == {"memory bandwidth"}
    assert len(told) == 11


def test_the_roof_is_bytes_over_bandwidth(tmp_path: Path) -> None:
    assert roof(MODEL, 20e9, 0) == 20.0
    assert roof(MODEL, 20e9, 10_000) == 10.0
    found = look(tmp_path)["memory bandwidth"].found
    assert (
        "953.7 MiB of weights, at 20.0 GB/s with 4 threads: at most 20 tokens/s, 17 after 2048"
        in found
    )


def test_weights_that_a_cache_holds(tmp_path: Path) -> None:
    subject = dataclasses.replace(SUBJECT, cpu=SUBJECT.cpu | {"l3_bytes": 2 * 10**9})
    assert "last-level cache" in look(tmp_path, subject=subject)["memory bandwidth"].advice


def test_nothing_can_be_read(tmp_path: Path) -> None:
    """Not one file: what rests on them is unknown, with the reason, and nothing fails."""
    told = look(tmp_path, dict.fromkeys(QUIET, None))
    unknown = {name for name, f in told.items() if f.severity == "unknown"}
    assert unknown == {
        "model in memory", "CPU limit", "memory limit", "frequency governor", "hardware threads",
        "huge pages", "other programs", "memory nodes",
    }  # fmt: skip
    assert all("No such file" in told[name].found for name in unknown)


def test_no_model(tmp_path: Path) -> None:
    told = look(tmp_path, subject=dataclasses.replace(SUBJECT, model="no default model"))
    for name in ("memory bandwidth", "model in memory"):
        assert told[name].severity == "unknown" and told[name].found == "no default model"


@pytest.mark.parametrize(
    ("changes", "check", "severity", "found", "advice"),
    [
        # Garbage in place of what is expected is told, not taken for good news.
        ({"proc/meminfo": "x"}, "model in memory", "unknown", "no MemAvailable", ""),
        ({"proc/stat": "cpu0 1 2"}, "other programs", "unknown", "eight numbers", ""),
        ({"proc/stat": ""}, "other programs", "unknown", "has no cpu0", ""),
        ({"proc/self/stat": "1 (x) S"}, "other programs", "unknown", "four times", ""),
        ({"proc/self/cgroup": "x"}, "CPU limit", "unknown", "three fields", ""),
        ({"sys/devices/system/cpu/online": "a-b"}, "CPU limit", "unknown", "list of numbers", ""),
        (
            {"sys/kernel/mm/transparent_hugepage/enabled": "?"},
            "huge pages", "unknown", "in brackets", "",
        ),
        (
            {"sys/fs/cgroup/user.slice/mine/cpu.max": "100"},
            "CPU limit", "unknown", "two words", "",
        ),
        # Limits of control groups, also of a group above.
        (
            {"sys/fs/cgroup/user.slice/mine/cpu.max": "300000 100000"},
            "CPU limit", "warning", "allows 3 CPUs' time, and 4 CPUs run 4 threads", "--threads 3",
        ),
        (
            {
                "sys/fs/cgroup/user.slice/mine/cpu.max": "max 100000",
                "sys/fs/cgroup/user.slice/cpu.max": "50000 100000",
                "sys/fs/cgroup/user.slice/cpu.stat": "nr_periods 200\nnr_throttled 50\n",
            },
            "CPU limit", "problem", "allows 0.5 CPUs' time, and 4 CPUs run 4 threads; 25 % of",
            "--threads 1",
        ),
        (
            {
                "sys/fs/cgroup/cpu.max": "800000 100000",
                "sys/fs/cgroup/cpu.stat": "nr_periods 10\nnr_throttled 1\n",
            },
            "CPU limit", "warning", "limit was reached; 10 %", "raise the limit",
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/docker/x\n2:memory:/docker/x\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            "CPU limit", "problem", "allows 1.5 CPUs' time", "--threads 1",
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            "CPU limit", "good", "4 CPUs, no limit", "",
        ),
        ({"sys/devices/system/cpu/online": "0-7,9"}, "CPU limit", "note", "4 of 9 CPUs", "taskset"),
        (
            {
                "sys/fs/cgroup/user.slice/mine/memory.max": str(GiB),
                "sys/fs/cgroup/user.slice/mine/memory.current": str(GiB // 2),
                "sys/fs/cgroup/user.slice/mine/memory.stat": f"inactive_file {GiB // 4}\n",
            },
            "memory limit", "note", "1.0 GiB, 768.0 MiB of it still free", "must hold",
        ),
        (
            {
                "sys/fs/cgroup/user.slice/mine/memory.max": str(GiB),
                "sys/fs/cgroup/user.slice/mine/memory.current": str(GiB // 2),
                "sys/fs/cgroup/user.slice/mine/memory.stat": "anon 5\n",
            },
            "model in memory", "problem", "the control group leaves 512.0 MiB: its pages push",
            "--recipe int4",
        ),
        (
            {
                "proc/self/cgroup": "2:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": str((1 << 63) - 4096),
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "5",
                "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 5\n",
            },
            "memory limit", "good", "no limit", "",
        ),
        ({"proc/meminfo": "MemAvailable: 1500000 kB"}, "model in memory", "warning", "1.4 GiB", "KV"),
        ({"proc/meminfo": "MemAvailable: 150000 kB"}, "model in memory", "problem", "disk", "smaller"),
        # The rest.
        (
            {"sys/devices/system/cpu/cpu2/cpufreq/scaling_governor": "powersave\n"},
            "frequency governor", "warning", "performance on 3 CPUs, powersave on 1 CPU", "cpupower",
        ),
        (
            {f"sys/devices/system/cpu/cpu{i}/cpufreq/scaling_governor": "schedutil" for i in range(4)},
            "frequency governor", "note", "schedutil on 4 CPUs", "performance",
        ),
        (
            {
                f"sys/devices/system/cpu/cpu{i}/topology/thread_siblings_list": f"{i % 2},{i % 2 + 2}"
                for i in range(4)
            },
            "hardware threads", "note", "4 CPUs are threads of 2 cores", "one thread per core",
        ),
        (
            {"sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never"},
            "huge pages", "note", "madvise", "always",
        ),
        ({"sys/devices/system/node/has_memory": "0-1"}, "memory nodes", "note", "2 mem", "numactl"),
        # One CPU of four is busy while it looks: 100 ticks passed on each.
        (
            {"later/proc/stat": "".join(
                f"cpu{i} {200 if i == 1 else 100} 0 50 {5000 if i == 1 else 5100} 10 0 5 0 0 0\n"
                for i in range(4)
            )},
            "other programs", "warning", "other programs use 1.0 of 4 CPUs", "--threads",
        ),
        # Who it is, the greatest first; nobody that does next to nothing, or is gone.
        (
            {
                "later/proc/stat": "".join(f"cpu{i} 200 0 50 5000 10 0 5 0 0 0\n" for i in range(4)),
                "proc/10/stat": "10 (little) R" + " 0" * 20,
                "later/proc/10/stat": "10 (little) R" + " 0" * 10 + " 30 0" + " 0" * 8,
                "proc/11/stat": "11 (a (great) one) R" + " 0" * 10 + " 50 50" + " 0" * 8,
                "later/proc/11/stat": "11 (a (great) one) R" + " 0" * 10 + " 150 50" + " 0" * 8,
                "proc/12/stat": "12 (idle) S" + " 0" * 10 + " 900 0" + " 0" * 8,
                "proc/13/stat": "damaged",
            },
            "other programs", "warning", "use 4.0 of 4 CPUs (a (great) one, little)", "stop them",
        ),
        (
            {"later/proc/stat": "".join(f"cpu{i} 100 0 50 5080 10 0 5 20 0 0\n" for i in range(4))},
            "other programs", "warning", "the hypervisor takes 0.8 away", "of its own",
        ),
    ],
)  # fmt: skip
def test_what_is_found(
    tmp_path: Path,
    changes: dict[str, str | None],
    check: str,
    severity: str,
    found: str,
    advice: str,
) -> None:
    told = look(tmp_path, changes)[check]
    assert told.severity == severity, told
    assert found in told.found and advice in told.advice, told


@pytest.mark.parametrize(
    ("processor", "severity", "found", "advice"),
    [
        (cpu(), "good", "amx, the highest", ""),
        (cpu("avx512", ABSENT), "note", "lacks amx_tile", "CPU that has it"),
        (cpu("avx512", compiled=False), "warning", "which this build lacks", "--config=amx"),
        (
            cpu("avx512", "the operating system refuses tile registers"),
            "warning", "kept back", "hypervisor",
        ),
    ],
)  # fmt: skip
def test_tiers(
    tmp_path: Path, processor: dict[str, Any], severity: str, found: str, advice: str
) -> None:
    told = look(tmp_path, subject=dataclasses.replace(SUBJECT, cpu=processor))["tier"]
    assert told.severity == severity and found in told.found and advice in told.advice, told


def test_own_work_is_not_others() -> None:
    before = CpuTime(busy=100, steal=0, all=1000, own=50)
    after = CpuTime(busy=300, steal=0, all=1400, own=250)
    assert used_by_others(before, after, 4) == (0.0, 0.0)
    assert used_by_others(before, dataclasses.replace(after, own=50), 4) == (2.0, 0.0)
    with pytest.raises(Unreadable, match="no time"):
        used_by_others(before, before, 4)


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = dataclasses.replace(SUBJECT, cache=tmp_path / "not" / "yet")
    assert look(tmp_path, subject=subject)["disk for the cache"].severity == "good"
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Disk(GiB // 2))
    told = look(tmp_path, subject=subject)["disk for the cache"]
    assert told.severity == "warning" and "512.0 MiB free" in told.found
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)
    told = look(tmp_path, subject=subject)["disk for the cache"]
    assert told.severity == "warning" and f"{tmp_path} cannot be written" in told.found


def test_a_limit_on_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.resource, "getrlimit", lambda what: (GiB // 2, GiB // 2))
    told = look(tmp_path)["model in memory"]
    assert told.severity == "problem" and "cannot be mapped" in told.found


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever machine runs this: no check fails, and each says something."""
    monkeypatch.undo()
    subject = dataclasses.replace(SUBJECT, cpus=sorted(os.sched_getaffinity(0)))
    told = examine(Host(), subject)
    assert len(told) == 11 and all(isinstance(f, Finding) and f.found for f in told)
