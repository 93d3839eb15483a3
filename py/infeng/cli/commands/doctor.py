"""infeng doctor: what this machine offers, what limits it, and what to do about it."""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import Any

from infeng import models
from infeng.cli.console import human_bytes, print_json, print_pairs, print_table, progress
from infeng.cli.doctor.bandwidth import BYTES, METHOD, read_gb_per_s
from infeng.cli.doctor.findings import Finding, Model, Subject, examine, roof
from infeng.cli.doctor.host import Host
from infeng.convert.config import ModelConfig
from infeng.errors import InputError
from infeng.memory import estimate, kv_token_bytes, read_per_token
from infeng.native import cpu_info
from infeng.version import __version__

_DEPTHS = (0, 2048, 8192)  # tokens of context for which a speed is foreseen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="PATH",
        help="that is to run here: INFQ or GGUF file or Hugging Face folder; left out: the "
        "default model",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    report = _report(args.model)
    if args.json:
        print_json(report)
    else:
        _print(report)
    return 0


def _report(name: str | None) -> dict[str, Any]:
    cpu = cpu_info()
    threads = cpu["physical_cores"]  # what the engine takes by itself
    bandwidth = {str(n): read_gb_per_s(n) for n in sorted({1, threads})}
    model = _model(name)
    # Weights that a cache holds are read at its speed.
    speed = bandwidth[str(threads)]
    if isinstance(model, Model) and model.token_bytes < BYTES:
        speed = read_gb_per_s(threads, model.token_bytes)
    cache = models.cache_folder()
    subject = Subject(cpu, sorted(os.sched_getaffinity(0)), threads, model, speed * 1e9, cache)
    findings = examine(Host(), subject)
    cached = list(cache.glob("*.infq"))
    return {
        "version": __version__,
        "cpu": {k: v for k, v in cpu.items() if k not in ("tiers", "chosen", "hardware_key")},
        "tiers": cpu["tiers"],
        "chosen_tier": cpu["chosen"],
        "hardware_key": cpu["hardware_key"],
        "memory": {
            "bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            "read_gb_per_s": bandwidth[str(threads)],
            "read_gb_per_s_by_threads": bandwidth,
            "method": METHOD,
        },
        "load_average": os.getloadavg()[0],
        "converted_models": {
            "folder": str(cache),
            "files": len(cached),
            "bytes": sum(f.stat().st_size for f in cached),
        },
        "roof": _roof(model, speed, threads),
        "findings": [dataclasses.asdict(f) for f in findings],
    }


def _model(name: str | None) -> Model | str:
    """What a model asks for, or why there is none. Raises InputError if it was named."""
    try:
        file = models.resolve(name, None, lambda title: progress(f"converting {title}"))
    except InputError as e:
        if name is not None:
            raise
        return str(e)
    config = ModelConfig.from_header(file.header["config"])
    context = config.max_position_embeddings
    kv = "f32" if file.header["recipe"] == "f32" else "int8"
    size = file.path.stat().st_size
    parts = estimate(size, config, 1, min(context, _DEPTHS[1]))
    return Model(
        name=name or "the default model",
        file_bytes=size,
        memory_bytes=parts["total_with_kv_int8"] - parts["kv_int8"] + parts[f"kv_{kv}"],
        token_bytes=read_per_token(file.header),
        context_bytes=kv_token_bytes(config, kv),
        context=context,
    )


def _roof(model: Model | str, speed: float, threads: int) -> dict[str, Any] | None:
    if isinstance(model, str):
        return None
    return {
        "model": model.name,
        "threads": threads,
        "read_gb_per_s": speed,
        "bytes_per_token": model.token_bytes,
        "bytes_per_token_of_context": model.context_bytes,
        "tokens_per_s_by_depth": {
            str(d): roof(model, speed * 1e9, d) for d in _DEPTHS if d < model.context
        },
    }


def _print(report: dict[str, Any]) -> None:
    cpu, memory = report["cpu"], report["memory"]
    caches = [(n, cpu[f"{n}_bytes"]) for n in ("l1d", "l2", "l3")]
    speeds = ", ".join(
        f"{speed:.1f} GB/s with {n} thread{'s' if n != '1' else ''}"
        for n, speed in memory["read_gb_per_s_by_threads"].items()
    )
    converted = report["converted_models"]
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
                f"{converted['folder']} ({converted['files']}, {human_bytes(converted['bytes'])})",
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
    for finding in (Finding(**f) for f in report["findings"]):
        print(f"{finding.severity:8} {finding.check}: {finding.found}")
        if finding.advice:
            print(f"{'':8} -> {finding.advice}")


def _why(name: str, tier: dict[str, Any], chosen: str) -> str:
    if name == chosen:
        return "chosen: the highest that is compiled and usable"
    return tier["why_not"] or "a higher one is usable"
