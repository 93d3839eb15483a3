#!/usr/bin/env python3
"""Refreshes debs.lock.json from the suites' current signed indexes.

tools/bootstrap/lock.py [SET...]     (no SET: all of them)
"""

import os
import sys

sys.dont_write_bytecode = True  # do not dirty the checkout
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apt  # noqa: E402
import errors  # noqa: E402
import lockfile  # noqa: E402
from sets import SETS  # noqa: E402


def main(names):
    unknown = sorted(set(names) - set(SETS))
    if unknown:
        raise errors.UsageError(
            f"no set is named '{unknown[0]}'; there are: {', '.join(sorted(SETS))}"
        )
    lock = lockfile.read() if names else {}
    suites = {}
    for name in names or SETS:
        suite = SETS[name]["suite"]
        if suite not in suites:
            suites[suite] = apt.Suite(suite)
        lock[name] = suites[suite].resolve(SETS[name])
        size = sum(entry["size"] for entry in lock[name]) / 1e6
        print(f"{name}: {len(lock[name])} archives, {size:.1f} MB")
    lockfile.write(lock)


if __name__ == "__main__":
    sys.exit(errors.run("lock.py", main, sys.argv[1:]))
