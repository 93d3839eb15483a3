#!/usr/bin/env python3
"""Counts the tests of the last `tools/bazel test //...` and names what was skipped, and why.

python3 tools/ci/summary.py [--without=TAG]
"""

import argparse
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent.parent
_RUST = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.M)


def targets(without: str | None) -> list[str]:
    """Labels of the tests that `test //...` runs, but those with the tag `without`."""
    query = "tests(//...) except attr(tags, manual, tests(//...))"
    if without:
        query += f" except attr(tags, '\\b{without}\\b', tests(//...))"
    done = subprocess.run(
        [WORKSPACE / "tools/bazel", "query", "--noshow_progress", query],
        cwd=WORKSPACE,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return sorted(done.stdout.split())


def cases(xml: Path) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Counts of one result file, and (name, reason) of what it skipped."""
    counts: Counter[str] = Counter()
    skipped = []
    for case in ElementTree.parse(xml).getroot().iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
        elif skip is not None:
            counts["skipped"] += 1
            reason = skip.get("message") or (skip.text or "").strip() or "no reason given"
            skipped.append((f"{case.get('classname', '')}.{case.get('name', '')}", reason))
        else:
            counts["passed"] += 1
    return counts, skipped


def count(target: str) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Counts of one target, over its shards."""
    counts: Counter[str] = Counter()
    skipped: list[tuple[str, str]] = []
    logs = WORKSPACE / "bazel-testlogs" / target.removeprefix("//").replace(":", "/")
    for xml in sorted(logs.glob("**/test.xml")):
        log = xml.with_name("test.log")
        rust = _RUST.findall(log.read_text(errors="replace")) if log.exists() else []
        if rust:
            for passed, failed, ignored in rust:
                counts.update(passed=int(passed), failed=int(failed), skipped=int(ignored))
            continue
        one, reasons = cases(xml)
        counts.update(one)
        skipped += reasons
    if not counts:
        counts["failed"] = 1
        print(f"{target}: no result; was it built and run?")
    return counts, skipped


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", metavar="TAG", help="leave out tests with this tag")
    args = parser.parse_args()
    total: Counter[str] = Counter()
    for target in targets(args.without):
        counts, skipped = count(target)
        total += counts
        for name, reason in skipped:
            print(f"SKIPPED {target} {name}: {' '.join(reason.split())}")
        if counts["failed"]:
            print(f"FAILED {target}: {counts['failed']}")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
