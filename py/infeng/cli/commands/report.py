"""infeng report: one HTML page of what sweeps measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from infeng.report import write_page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("reports"), help="of the sweeps' files"
    )
    parser.add_argument("--out", type=Path, help="the page; left out: report.html in the folder")
    parser.add_argument("--sweep", action="append", default=[], help="only this one; repeatable")
    parser.add_argument(
        "--baselines",
        type=Path,
        help="folder of committed baselines, for the trend; left out: perf/baselines if it is here",
    )


def run(args: argparse.Namespace) -> int:
    baselines = args.baselines
    if baselines is None and Path("perf/baselines").is_dir():
        baselines = Path("perf/baselines")
    print(write_page(args.folder, args.out or args.folder / "report.html", args.sweep, baselines))
    return 0
