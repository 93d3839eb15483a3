"""Serves on a Ray cluster until it is told to stop.

python -m infeng.deploy.ray --address auto --replicas 4 --threads 16 --adapters '/shared/adapters/*'
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from types import FrameType

from infeng.cli.main import Parser
from infeng.cli.options import memory_size
from infeng.errors import InfengError, one_line
from infeng.memory import KV_DTYPES
from infeng.sched import Limits
from infeng.serve.adapters import find_adapters, model_name
from infeng.serve.options import Options
from infeng.serve.run import is_loopback


def arguments() -> argparse.Namespace:
    parser = Parser(prog="infeng.deploy.ray", description="Serve on a Ray cluster.")
    parser.add_argument("--address", help="of the cluster, or auto; left out: one of this machine")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: a free one")
    parser.add_argument("--replicas", type=int, default=2, metavar="N", help="of the model: 2")
    parser.add_argument(
        "--replicas-per-node", type=int, metavar="N",
        help="at most; default: 1 with --address, else no limit",
    )  # fmt: skip
    parser.add_argument("--ingress", type=int, default=2, metavar="N", help="processes: 2")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of a replica: 1")
    parser.add_argument("--model", metavar="PATH", help="on every node; left out: the default")
    parser.add_argument("--served-model-name", metavar="NAME", help="the base model's name")
    parser.add_argument("--adapters", nargs="+", action="extend", default=[], metavar="GLOB")
    parser.add_argument("--adapters-per-replica", type=int, default=0, metavar="N")
    parser.add_argument("--api-key", default=os.environ.get("INFENG_API_KEY"), metavar="KEY")
    parser.add_argument("--kv", choices=KV_DTYPES)
    parser.add_argument("--kv-memory", type=memory_size, metavar="SIZE")
    parser.add_argument("--adapter-memory", type=memory_size, metavar="SIZE")
    parser.add_argument("--max-running", type=int, default=Limits.running, metavar="N")
    parser.add_argument("--max-queue", type=int, default=Limits.queue, metavar="N")
    parser.add_argument("--timeout", type=float, default=Options.timeout, metavar="S", help="600")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    # Workers are started with it: they import what we import.
    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        name = model_name(args.served_model_name, args.model)
        if args.address is None:
            find_adapters(args.adapters, name)  # here: replicas could only fail, again and again
        return _serve(args)
    except InfengError as e:
        print(f"infeng.deploy.ray: {one_line(e)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("infeng.deploy.ray: interrupted", file=sys.stderr)
        return 130


def _serve(args: argparse.Namespace) -> int:
    import ray
    from pydantic import ValidationError
    from ray import serve

    from infeng.deploy.ray import Settings, build

    given = {k: v for k, v in vars(args).items() if k in Settings.model_fields}
    if args.address is not None and args.replicas_per_node is None:
        given["replicas_per_node"] = 1
    loopback = is_loopback(args.host)
    try:
        settings = Settings(**given, adapter_management=loopback or None)
    except ValidationError as e:
        first = e.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        print(f"infeng.deploy.ray: --{option}: {first['msg']}", file=sys.stderr)
        return 2
    local = {}
    if args.address is None:
        # As many as the replicas ask for: the machine's cores are the user's to count.
        local = {"num_cpus": args.replicas * args.threads, "_node_ip_address": "127.0.0.1"}
        local["object_store_memory"] = 256 << 20  # what it holds at a time is small
        if folder := os.environ.get("RAY_TMPDIR"):
            local["_temp_dir"] = folder
    ray.init(address=args.address, include_dashboard=False if local else None, **local)
    port = args.port or _free_port(args.host)
    try:
        serve.start(
            proxy_location="HeadOnly" if args.address is None else "EveryNode",
            http_options={"host": args.host, "port": port},
        )
        serve.run(build(settings), name="infeng", route_prefix="/")
        print(
            f"infeng.deploy.ray: {args.replicas} replicas, listening at http://{args.host}:{port} "
            "(Ctrl-C drains)",
            file=sys.stderr,
            flush=True,
        )
        _until_told()
    finally:
        serve.shutdown()
        ray.shutdown()
    return 0


def _until_told() -> None:
    told = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
    while not told:
        signal.pause()
    for number, handler in before.items():
        signal.signal(number, handler)  # a second one stops at once


def _free_port(host: str) -> int:
    with socket.socket() as free:
        free.bind((host, 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
