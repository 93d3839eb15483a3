"""Judges a sweep's CSV file on the command line, or makes it the baseline: //perf:compare_NAME.

The same rules and code as the gate's test; it measures nothing."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from infeng.errors import InfengError, InputError, UsageError, one_line
from perf.gate import baseline as store
from perf.gate.gate import Rules, judge, overridden, read_rules
from perf.gate.pair import judge_pair
from perf.gate.summary import Summary, check_comparable, check_csv, load
from perf.gate.table import closing, conditions, overall, table
from perf.gate.verdict import Outcome, Verdict, judge_baseline


def main() -> int:
    parser = argparse.ArgumentParser(prog="compare", description=__doc__)
    parser.add_argument("--rules", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument(
        "--baselines", type=Path, default=Path("perf/baselines"), help=argparse.SUPPRESS
    )
    parser.add_argument("--csv", type=Path, help="one of the sweep's CSV files")
    parser.add_argument("--native", type=Path, help="with --python: a CSV of ours to compare")
    parser.add_argument("--python", type=Path, help="the reference's CSV, of a run of its own")
    parser.add_argument(
        "--baseline", type=Path, help="JSON to compare with; left out: this hardware's, if any"
    )
    parser.add_argument("--update-baseline", action="store_true", help="make this run the baseline")
    parser.add_argument("--baseline-out", type=Path, help="where; left out: perf/baselines")
    parser.add_argument("--reason", default="calibration", help="why the baseline changes")
    parser.add_argument("--strict", action="store_true", help="INCONCLUSIVE is a failure")
    args = parser.parse_args()
    rules = read_rules(args.rules)
    baselines = args.baselines.absolute()
    folder = os.environ.get("BUILD_WORKING_DIRECTORY")
    if folder:
        os.chdir(folder)
    try:
        _check_usage(args, rules)
        if args.native:
            return _judge_pair(args, overridden(rules))
        summary = _summary_of(args.csv, rules)
        if args.update_baseline:
            path = args.baseline_out or _in_checkout(summary, rules)
            store.write(summary, path, args.reason, rules.comparison, rules.spread_limit)
            print(path)
            return 0
        return _judge(args, overridden(rules), summary, baselines)
    except InfengError as e:
        print(f"compare_{rules.name}: {one_line(e)}", file=sys.stderr)
        return 2 if isinstance(e, UsageError) else 1


def _check_usage(args: argparse.Namespace, rules: Rules) -> None:
    if args.baseline_out and not args.update_baseline:
        raise UsageError("--baseline-out goes with --update-baseline")
    if bool(args.native) != bool(args.python):
        raise UsageError("--native and --python go together")
    if bool(args.native) == bool(args.csv):
        raise UsageError("give --csv" + (", or --native and --python" if rules.pair else ""))
    if args.native and rules.pair is None:
        raise UsageError(f"{rules.name} compares no two CSV files: give --csv")
    if args.native and args.update_baseline:
        raise UsageError("--update-baseline takes --csv: a baseline is of one run")


def _judge_pair(args: argparse.Namespace, rules: Rules) -> int:
    """Two files, and the native one against the baseline if its summary is beside it."""
    assert rules.pair
    verdicts = judge_pair(rules, rules.pair, args.native, args.python)
    if args.baseline:
        summary = _summary_of(args.native, rules)
        baseline = load(args.baseline)
        check_comparable(summary, baseline)
        verdicts += judge_baseline(
            summary, baseline, rules.comparison, rules.spread_limit, False, rules.tolerance
        )
    return _print(args, rules, verdicts)


def _summary_of(path: Path, rules: Rules) -> Summary:
    """The summary beside a CSV file, and the CSV checked against it."""
    beside = path.parent / f"{rules.sweep}_summary.json"
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not beside.exists():
        raise InputError(f"{path}: {beside.name} is not beside it: the sweep writes both")
    summary = load(beside)
    check_csv(path, summary)
    return summary


def _in_checkout(summary: Summary, rules: Rules) -> Path:
    workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if not workspace:
        raise UsageError("give --baseline-out, or run me with `bazel run`")
    return Path(workspace, "perf/baselines", summary.hardware_key, f"{rules.sweep}.json")


def _judge(args: argparse.Namespace, rules: Rules, summary: Summary, baselines: Path) -> int:
    path = args.baseline or store.find([baselines], summary.hardware_key, rules.sweep)
    verdicts = judge(rules, summary, load(path) if path else None, every_row=bool(args.baseline))
    if not path:
        reason = f"no baseline of this hardware ({summary.hardware_key})"
        verdicts.append(Verdict("against the baseline", Outcome.SKIPPED, reason=reason))
    print(conditions(summary.meta))
    return _print(args, rules, verdicts)


def _print(args: argparse.Namespace, rules: Rules, verdicts: list[Verdict]) -> int:
    print(table(verdicts))
    print(f"{rules.name}: {closing(verdicts)}")
    outcome = overall(verdicts)
    return int(outcome is Outcome.FAIL or (outcome is Outcome.INCONCLUSIVE and args.strict))


if __name__ == "__main__":
    sys.exit(main())
