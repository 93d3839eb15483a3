"""Judges what a machine offers: each check gives one finding, and says so where it cannot."""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from infeng.cli.console import human_bytes
from infeng.cli.doctor.host import Host, Unreadable
from infeng.errors import why

Severity = Literal["problem", "warning", "unknown", "note", "good"]
SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "unknown", "note", "good")

_BUSY = 0.15  # share of the CPUs in others' hands from where it is worth a warning
_STOLEN = 0.03
_THROTTLED = 0.05
_WATCHED_S = 0.5
_DEPTH = 2048  # tokens of a context that is long, but usual


@dataclasses.dataclass(frozen=True)
class Finding:
    """check: what was looked at. found: what it is, one line. advice: what to do, "" if
    nothing. unknown: it cannot be told here, and advice says what that leaves open."""

    check: str
    severity: Severity
    found: str
    advice: str = ""


@dataclasses.dataclass(frozen=True)
class Model:
    """What a model asks of a machine.

    file_bytes: of its INFQ file, which is mapped. memory_bytes: with one whole context, at most
    _DEPTH tokens, and buffers. token_bytes: weights that each step reads. context_bytes: keys
    and values that each further token of a context adds to that."""

    name: str
    file_bytes: int
    memory_bytes: int
    token_bytes: int
    context_bytes: float
    context: int


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is examined: infeng.native.cpu_info(), the CPUs that this process may use, threads
    that the engine takes by itself, a model or why there is none, bytes read per second by that
    many threads from as much memory as a token needs, and where converted models go."""

    cpu: dict[str, Any]
    cpus: list[int]
    threads: int
    model: Model | str
    read_bytes_per_s: float
    cache: Path


def examine(host: Host, subject: Subject) -> list[Finding]:
    """All findings, the gravest first. Takes half a second, in which it watches the CPUs."""
    findings = []
    for name, check, open_question in _CHECKS:
        try:
            severity, found, advice = check(host, subject)
        except Unreadable as e:
            severity, found, advice = "unknown", str(e), open_question
        findings.append(Finding(name, severity, found, advice))
    return sorted(findings, key=lambda f: SEVERITIES.index(f.severity))


def roof(model: Model, read_bytes_per_s: float, depth: int) -> float:
    """Tokens per second of one answer after `depth` tokens, if reading memory is all that it
    costs."""
    return read_bytes_per_s / (model.token_bytes + depth * model.context_bytes)


Verdict = tuple[Severity, str, str]


def _tier(host: Host, subject: Subject) -> Verdict:
    del host
    tiers, chosen = subject.cpu["tiers"], subject.cpu["chosen"]
    names = list(tiers)
    higher = names[names.index(chosen) + 1 :]
    if not higher:
        return "good", f"{chosen}, the highest that there is", ""
    unbuilt = [n for n in higher if tiers[n]["usable"] and not tiers[n]["compiled"]]
    if unbuilt:
        return (
            "warning",
            f"{chosen}; this machine can use {unbuilt[-1]}, which this build lacks",
            f"use a build with it (tools/bazel build --config={unbuilt[-1]} ..., or the wheel)",
        )
    needs = "; ".join(f"{n}: {tiers[n]['why_not']}" for n in higher)
    if any("lacks" not in tiers[n]["why_not"] for n in higher):
        return (
            "warning",
            f"{chosen}; higher tiers are kept back: {needs}",
            "the CPU has them: ask for a kernel, hypervisor or container that lets them through",
        )
    return "note", f"{chosen}; {needs}", "prompts are read faster on a CPU that has it"


def _bandwidth(host: Host, subject: Subject) -> Verdict:
    del host
    model, speed = subject.model, subject.read_bytes_per_s
    if isinstance(model, str):
        return "unknown", model, "with --model PATH the speed that memory allows can be foreseen"
    depth = min(_DEPTH, model.context)
    found = (
        f"{model.name}: each token of one answer reads {human_bytes(model.token_bytes)} of weights, at "
        f"{speed / 1e9:.1f} GB/s with {_count(subject.threads, 'thread')}: at most "
        f"{roof(model, speed, 0):.0f} tokens/s, {roof(model, speed, depth):.0f} after {depth} "
        "tokens"
    )
    shared = "several answers at once share the reading (infeng serve)"
    cache = subject.cpu["l3_bytes"]
    if cache > model.token_bytes:
        return (
            "note",
            found,
            f"the weights fit the last-level cache ({human_bytes(cache)}) as far as this machine has it "
            f"for itself; if not, memory sets the pace: {shared}",
        )
    return "note", found, f"smaller weights (--recipe int4) or faster memory help; {shared}"


def _mapping(host: Host, subject: Subject) -> Verdict:
    model = subject.model
    if isinstance(model, str):
        return "unknown", model, "with --model PATH it can be told whether the model fits"
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if space != resource.RLIM_INFINITY and space < model.file_bytes:
        return (
            "problem",
            f"{model.name}: {human_bytes(model.file_bytes)} cannot be mapped: this process may have "
            f"{human_bytes(space)} of addresses",
            "raise the limit (ulimit -v unlimited)",
        )
    room, who = host.available_bytes(), "the system has"
    group = host.memory_limit()
    if group is not None and group.room < room:
        room, who = group.room, "the control group leaves"
    needs = (
        f"{model.name}: {human_bytes(model.memory_bytes)} with a context, {who} {human_bytes(room)}"
    )
    if model.file_bytes > room:
        return (
            "problem",
            f"{needs}: its pages push each other out, and each token reads them from disk again",
            "more memory, smaller weights (--recipe int4), or a smaller model",
        )
    if model.memory_bytes > room:
        return "warning", needs, "a shorter context, or a KV cache of less (--kv int4, --kv-memory)"
    return "good", needs, ""


def _cpu_limit(host: Host, subject: Subject) -> Verdict:
    limit, allowed = host.cpu_limit(), len(subject.cpus)
    online = host.online_cpus()
    seen = f"{allowed} of {_count(online, 'CPU')}" if allowed < online else _count(allowed, "CPU")
    if limit.cpus is not None and limit.cpus < subject.threads:
        return (
            "problem" if limit.cpus < subject.threads / 2 else "warning",
            f"the control group allows {limit.cpus:g} CPUs' time, and {seen} run "
            f"{_count(subject.threads, 'thread')}{_throttled(limit.throttled)}",
            "raise the limit, or use --threads "
            f"{max(1, int(limit.cpus))}: threads that are held back keep the others waiting",
        )
    if (limit.throttled or 0) > _THROTTLED:
        return (
            "warning",
            f"the control group's limit was reached{_throttled(limit.throttled)}",
            "raise the limit, or run less beside infeng in this container",
        )
    if allowed < online:
        return "note", f"this process may use {seen}", "taskset or the container chose them"
    quota = "no limit" if limit.cpus is None else f"a limit of {limit.cpus:g} CPUs' time"
    return "good", f"{seen}, {quota}", ""


def _throttled(share: float | None) -> str:
    return "" if share is None else f"; {100 * share:.0f} % of all periods hit it"


def _memory_limit(host: Host, subject: Subject) -> Verdict:
    del subject
    group = host.memory_limit()
    if group is None:
        return "good", "no limit by a control group", ""
    return (
        "note",
        f"the control group may have {human_bytes(group.limit)}, {human_bytes(group.room)} of it still free",
        "weights count too, as pages of a file: the limit must hold them",
    )


def _governor(host: Host, subject: Subject) -> Verdict:
    found = host.governors(subject.cpus)
    if set(found) == {"performance"}:
        return "good", "performance", ""
    listed = ", ".join(f"{name} on {_count(n, 'CPU')}" for name, n in found.items())
    # Both kinds of schedutil and powersave may be quick enough; none is as quick to rise.
    return (
        "warning" if "powersave" in found else "note",
        listed,
        "choose 'performance' (cpupower frequency-set -g performance): others may be slow to rise",
    )


def _siblings(host: Host, subject: Subject) -> Verdict:
    groups = host.siblings(subject.cpus)
    if not groups:
        return "good", "each CPU is a core of its own, as far as the system tells", ""
    cores = len(subject.cpus) - sum(len(g) - 1 for g in groups)
    return (
        "note",
        f"{len(subject.cpus)} CPUs are threads of {_count(cores, 'core')}",
        f"infeng takes one thread per core by itself ({subject.threads}): more rarely pays",
    )


def _huge_pages(host: Host, subject: Subject) -> Verdict:
    del subject
    chosen = host.huge_pages()
    if chosen == "always":
        return "good", "always", ""
    return (
        "note",
        chosen,
        "'always' in /sys/kernel/mm/transparent_hugepage/enabled may spare look-ups of addresses "
        "for the KV cache; the weights are a mapped file, which few systems give huge pages",
    )


def _others(host: Host, subject: Subject) -> Verdict:
    others = host.others(subject.cpus, _WATCHED_S)
    count = len(subject.cpus)
    found = f"other programs use {others.busy:.1f} of {_count(count, 'CPU')}"
    if others.names:
        found += f" ({', '.join(others.names)})"
    if others.stolen > _STOLEN * count:
        return (
            "warning",
            f"{found}; the hypervisor takes {others.stolen:.1f} away for other machines",
            "a machine with CPUs of its own; measure only side by side meanwhile",
        )
    if others.busy > _BUSY * count:
        return "warning", found, "stop them, or give infeng fewer --threads"
    return "good", found, ""


def _nodes(host: Host, subject: Subject) -> Verdict:
    del subject
    nodes = host.memory_nodes()
    if nodes == 1:
        return "good", "one memory node", ""
    return (
        "note",
        f"{nodes} memory nodes (NUMA)",
        "keep a process on one: numactl --cpunodebind=0 --membind=0 infeng ...",
    )


def _disk(host: Host, subject: Subject) -> Verdict:
    del host
    folder = subject.cache
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as e:
        raise Unreadable(f"{folder}: {why(e)}") from e
    found = f"{human_bytes(free)} free for {subject.cache}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return (
            "warning",
            f"{found}, but {folder} cannot be written",
            "set XDG_CACHE_HOME to a folder that can, or convert with --out and use the INFQ file",
        )
    need = subject.model.file_bytes if isinstance(subject.model, Model) else 1 << 30
    if free < need:
        return (
            "warning",
            f"{found}, less than a converted model takes ({human_bytes(need)})",
            "make room, or set XDG_CACHE_HOME to a larger disk",
        )
    return "good", found, ""


_CHECKS: tuple[tuple[str, Callable[[Host, Subject], Verdict], str], ...] = (
    ("tier", _tier, ""),
    ("memory bandwidth", _bandwidth, ""),
    ("model in memory", _mapping, "whether the model fits is open"),
    ("CPU limit", _cpu_limit, "a container's limit may hold threads back unseen: try --threads"),
    ("memory limit", _memory_limit, "a container's limit may end the process without a word"),
    (
        "frequency governor",
        _governor,
        "usual in a virtual machine, whose host decides; else look at `cpupower frequency-info`",
    ),
    ("hardware threads", _siblings, "if two CPUs are one core, --threads should be the cores"),
    ("huge pages", _huge_pages, "whether buffers get huge pages is open"),
    ("other programs", _others, "if something else runs, speeds are not to be trusted"),
    ("memory nodes", _nodes, "on a machine with several sockets, keep a process on one (numactl)"),
    ("disk for the cache", _disk, "whether a model can be converted is open"),
)


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
