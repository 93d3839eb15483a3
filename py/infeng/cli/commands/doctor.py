"""infeng doctor: what this machine offers, and what would make it faster."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from infeng.cli.bandwidth import METHOD, read_gb_per_s
from infeng.cli.console import human_bytes, print_json, print_pairs, print_table
from infeng.models import cache_folder
from infeng.native import cpu_info
from infeng.version import __version__

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    report = _report()
    if args.json:
        print_json(report)
    else:
        _print(report)
    return 0


def _report() -> dict[str, Any]:
    cpu = cpu_info()
    threads = cpu["logical_cores"]
    bandwidth = {str(n): read_gb_per_s(n) for n in sorted({1, threads})}
    cached = list(cache_folder().glob("*.infq"))
    report: dict[str, Any] = {
        "version": __version__,
        "cpu": cpu,
        "tiers": cpu.pop("tiers"),
        "chosen_tier": cpu.pop("chosen"),
        "hardware_key": cpu.pop("hardware_key"),
        "memory": {
            "bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            "read_gb_per_s": bandwidth[str(threads)],
            "read_gb_per_s_by_threads": bandwidth,
            "method": METHOD,
        },
        "load_average": os.getloadavg()[0],
        "converted_models": {
            "folder": str(cache_folder()),
            "files": len(cached),
            "bytes": sum(f.stat().st_size for f in cached),
        },
    }
    report["advice"] = _advice(report)
    return report


def _advice(report: dict[str, Any]) -> list[str]:
    """What would make this machine faster, the most useful first."""
    cpu, tiers = report["cpu"], report["tiers"]
    names = list(tiers)
    higher = names[names.index(report["chosen_tier"]) + 1 :]
    advice = [f"tier {name}: {tiers[name]['why_not']}" for name in reversed(higher)]
    quota = _quota()
    if quota is not None and quota < cpu["logical_cores"]:
        advice.append(
            f"this container may use {quota:g} CPUs' time though it sees {cpu['logical_cores']}: "
            f"raise its limit or use --threads {max(1, int(quota))}"
        )
    if report["load_average"] > cpu["logical_cores"] / 2:
        advice.append(
            f"other programs are busy (load average {report['load_average']:.1f}): stop them"
        )
    governor = _text(_GOVERNOR)
    if governor not in ("", "performance"):
        advice.append(f"the CPU's frequency governor is {governor!r}: choose 'performance'")
    advice.append(
        "one answer's speed is bound by reading the weights from memory, about "
        f"{report['memory']['read_gb_per_s'] * 1e9 / 145e6:.0f} tokens/s for the default model "
        "(145 MB): faster memory helps, and so does answering several prompts at once"
    )
    return advice


def _quota() -> float | None:
    """CPUs' time that the control group allows, None if it does not limit it."""
    fields = _text(_CGROUP_QUOTA).split()
    if len(fields) != 2 or not all(f.isdigit() for f in fields):
        return None
    return int(fields[0]) / int(fields[1])


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _print(report: dict[str, Any]) -> None:
    cpu, memory = report["cpu"], report["memory"]
    caches = [(n, cpu[f"{n}_bytes"]) for n in ("l1d", "l2", "l3")]
    speeds = ", ".join(
        f"{speed:.1f} GB/s with {n} thread{'s' if n != '1' else ''}"
        for n, speed in memory["read_gb_per_s_by_threads"].items()
    )
    models = report["converted_models"]
    print_pairs(
        [
            ("infeng", report["version"]),
            ("CPU", f"{cpu['brand']} ({cpu['vendor']} {cpu['family']}-{cpu['model']})"),
            ("cores", f"{cpu['physical_cores']}, {cpu['logical_cores']} threads"),
            ("instructions", " ".join(cpu["features"])),
            ("caches", ", ".join(f"{n} {human_bytes(b) if b else 'unknown'}" for n, b in caches)),
            ("memory", human_bytes(memory["bytes"])),
            ("memory reads", f"{speeds} ({memory['method']})"),
            ("load average", f"{report['load_average']:.2f}"),
            ("hardware key", report["hardware_key"]),
            (
                "converted models",
                f"{models['folder']} ({models['files']}, {human_bytes(models['bytes'])})",
            ),
        ]
    )
    print()
    rows = [
        (
            name,
            "yes" if tier["compiled"] else "no",
            "yes" if tier["usable"] else "no",
            _why(name, tier, report["chosen_tier"]),
        )
        for name, tier in report["tiers"].items()
    ]
    print_table(("tier", "compiled", "usable", "why"), rows)
    print()
    print("What would make it faster:")
    for line in report["advice"]:
        print(f"- {line}")


def _why(name: str, tier: dict[str, Any], chosen: str) -> str:
    if name == chosen:
        return "chosen: the highest that is compiled and usable"
    return tier["why_not"] or "a higher one is usable"
