"""infeng serve: an OpenAI-compatible server over one model and many adapters."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

from infeng.cli.console import human_bytes, progress
from infeng.cli.options import add_model_options, add_speculate_option, load, memory_size
from infeng.errors import UsageError
from infeng.files import atomic_write
from infeng.llm import LLM
from infeng.native import cpu_info
from infeng.sched import Limits
from infeng.serve.adapters import find_adapters, model_name
from infeng.serve.options import Options
from infeng.serve.throughput import Load, measure
from infeng.version import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("--served-model-name", metavar="NAME", help="the base model's name")
    parser.add_argument(
        "--adapters",
        nargs="+",
        action="extend",
        default=[],
        metavar="GLOB",
        help="PEFT folders or INFQ adapters; each is served under its folder's or file's name",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: a free one")
    parser.add_argument(
        "--api-key", metavar="KEY", help="that requests must carry; also INFENG_API_KEY"
    )
    parser.add_argument(
        "--kv-memory", type=memory_size, metavar="SIZE", help="for keys and values, e.g. 512M, 2G"
    )
    parser.add_argument(
        "--adapter-memory", type=memory_size, metavar="SIZE", help="for adapters; default: no limit"
    )
    for option, default, text in (
        ("--max-running", Limits.running, "requests in a step"),
        ("--max-queue", Limits.queue, "that may wait beyond those"),
        ("--step-tokens", Limits.step_tokens, "computed in one step"),
        (
            "--mixed-tokens",
            Limits.mixed_tokens,
            "of prompts and drafts, in a step that continues answers",
        ),
    ):
        parser.add_argument(
            option, type=int, default=default, metavar="N", help=f"{text}: {default}"
        )
    add_speculate_option(parser)
    parser.add_argument(
        "--adapter-threads", type=int, default=1, metavar="N", help="that load adapters: 1"
    )
    parser.add_argument(
        "--timeout", type=float, default=600, metavar="S", help="a request is given up then: 600"
    )
    parser.add_argument(
        "--max-body", type=memory_size, default=4 << 20, metavar="SIZE", help="of a request: 4M"
    )
    parser.add_argument(
        "--mode",
        choices=("http", "throughput"),
        default="http",
        help="throughput: run the built-in load, print tokens/s and p95, and end",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="throughput: JSON of the run")
    parser.add_argument("--clients", type=int, default=8, help="throughput: at a time; 8")
    parser.add_argument("--requests", type=int, default=48, help="throughput: in all; 48")
    parser.add_argument("--max-tokens", type=int, default=64, help="throughput: of an answer; 64")


def run(args: argparse.Namespace) -> int:
    name = model_name(args.served_model_name, args.model)
    if args.report is not None and args.mode != "throughput":
        raise UsageError("--report: only with --mode throughput")
    if not 0 <= args.port < 1 << 16:
        raise UsageError(f"--port {args.port}: must be from 0 to 65535")
    for option in ("clients", "requests", "max_tokens", "adapter_threads"):
        if getattr(args, option) < 1:
            raise UsageError(f"--{option.replace('_', '-')}: must be at least 1")
    if not args.timeout > 0:
        raise UsageError(f"--timeout {args.timeout}: must be above 0")
    adapters = find_adapters(args.adapters, name)
    with load(
        args,
        adapters,
        kv_memory=args.kv_memory,
        adapter_memory=args.adapter_memory,
        max_running=args.max_running,
        max_queue=args.max_queue,
        step_tokens=args.step_tokens,
        mixed_tokens=args.mixed_tokens,
        speculate=args.speculate,
        adapter_threads=args.adapter_threads,
    ) as llm:
        if args.mode == "throughput":
            return _throughput(llm, name, args)
        return _serve(llm, name, args)


def _serve(llm: LLM, name: str, args: argparse.Namespace) -> int:
    # Here, so that the other commands do not wait for the web's libraries.
    from infeng.serve.app import Server
    from infeng.serve.run import bind, is_loopback, serve

    key = args.api_key or os.environ.get("INFENG_API_KEY") or None
    closed = key is not None or is_loopback(args.host)
    options = Options(
        name=name,
        host=args.host,
        port=args.port,
        api_key=key,
        max_body=args.max_body,
        timeout=args.timeout,
        adapter_management=closed,
    )
    listener = bind(args.host, args.port)
    limits = llm.runner.limits
    kv = limits.pages * llm.engine.kv_page_bytes
    _say(
        f"{name}, {len(llm.adapters)} adapters, KV cache of {limits.pages * limits.page_tokens} "
        f"tokens ({human_bytes(kv)}), {llm.engine.threads} threads, {llm.engine.tier}"
    )
    if not closed:
        _say(f"{args.host} is open to the network and there is no --api-key: adapters are fixed")
    host = f"[{args.host}]" if ":" in args.host else args.host
    _say(f"listening at http://{host}:{listener.getsockname()[1]} (Ctrl-C drains)")
    return serve(Server(llm, options), listener, _say)


def _throughput(llm: LLM, name: str, args: argparse.Namespace) -> int:
    work = Load(args.clients, args.requests, args.max_tokens)
    runs: dict[str, list[str | None]] = {"base": [None]}
    if llm.adapters:
        runs["adapters"] = [*llm.adapters]
    results = {}
    for kind, adapters in runs.items():
        measure(llm, adapters, Load(work.clients, work.clients, 4))  # warm
        with progress(f"{kind}: {work.requests} requests") as report_progress:
            results[kind] = measure(
                llm, adapters, work, lambda done, total: report_progress(done, total, "")
            )
        m = results[kind]
        print(
            f"{kind}: {m.tokens_per_s:.1f} tokens/s, p95 {m.p95_ms:.0f} ms per request, "
            f"{m.token_p95_ms:.1f} ms per token, {m.ttft_p95_ms:.0f} ms to the first token"
        )
    tax = None
    if "adapters" in results:
        tax = 100 * (1 - results["adapters"].tokens_per_s / results["base"].tokens_per_s)
        print(f"LoRA tax: {tax:.1f} % with {len(llm.adapters)} adapters mixed")
    if args.report is not None:
        _write_report(args.report, llm, name, work, results, tax)
    return 0


def _write_report(
    path: Path, llm: LLM, name: str, work: Load, results: dict[str, Any], tax: float | None
) -> None:
    cpu = cpu_info()
    report = {
        "_meta": {
            "tool": f"infeng {__version__}",
            "timestamp": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "hardware_key": cpu["hardware_key"],
            "cpu": cpu["brand"],
            "tier": llm.engine.tier,
            "threads": llm.engine.threads,
            "load_average": os.getloadavg()[0],
        },
        "model": name,
        "dtype": llm.dtype,
        "kv": llm.kv,
        "adapters": llm.adapters,
        "load": dataclasses.asdict(work),
        "runs": {kind: dataclasses.asdict(m) for kind, m in results.items()},
        "lora_tax_pct": tax,
        "tokens_per_s": results[list(results)[-1]].tokens_per_s,
        "p95_ms": results[list(results)[-1]].p95_ms,
    }
    with atomic_write(path) as file:
        file.write(json.dumps(report, indent=1).encode() + b"\n")


def _say(line: str) -> None:
    print(f"infeng serve: {line}", file=sys.stderr, flush=True)
