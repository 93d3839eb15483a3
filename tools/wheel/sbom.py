"""A bill of materials (CycloneDX 1.5, JSON) of what a target is made of, from the build's own graph.

Versions and digests are those of the lock files. A dependency of an unknown kind is an error, so
nothing gets in unlisted."""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Component = dict[str, Any]

# Repositories with nothing that gets into the product: interfaces of the host and of the build, and
# the default model, which is fetched apart.
_OUTSIDE = re.compile(r"python$|bazel_tools$|smollm2$|rules_\w+$|platforms$|bazel_skylib$")
# Linked into every native module by the toolchains: (set of packages, package).
_RUNTIMES = (("sysroot", "libstdc++-12-dev"), ("rust", "libstd-rust-dev"))
_LIBRARIES = ("rust_library", "cc_library", "py_library")


class Locks:
    """The lock files, by what they know."""

    def __init__(self, cargo: Path, python: Path, debian: Path, modules: Path) -> None:
        crates = tomllib.loads(cargo.read_text())["package"]
        self.crates = {f"{c['name']}-{c['version']}": c for c in crates if "source" in c}
        self.python = json.loads(python.read_text())
        self.debian = json.loads(debian.read_text())
        self.wheels = {
            name: {"version": version, "sha256": digest}
            for name, digest, version in re.findall(
                r'name = "(\w+)",[^()]*?sha256 = "(\w+)",\s*version = "([^"]+)"',
                modules.read_text(),
            )
        }

    def component(self, repository: str, package: str) -> Component | None:
        """What a library of another repository is; None if it is no part of the product."""
        short = repository.rpartition("~")[2]
        if short == "crates":
            crate = self.crates[package.removeprefix("vendor/")]
            return _component("cargo", crate["name"], crate["version"], crate["checksum"], "static")
        if short.startswith("pypi_"):
            name = short.removeprefix("pypi_").replace("_", "-")
            entry = self.python[name]
            return _component("pypi", name, entry["version"], entry["sha256"], "installed")
        if short in self.wheels and not _OUTSIDE.match(short):
            entry = self.wheels[short]
            return _component("pypi", short, entry["version"], entry["sha256"], "static")
        if short.replace("_", "-") in self.debian:
            entries = self.debian[short.replace("_", "-")]
            if len(entries) == 1:
                return _debian(entries[0])
        if _OUTSIDE.match(short):
            return None
        raise SystemExit(
            f"sbom: {repository}//{package}: what is this? Say so in tools/wheel/sbom.py"
        )

    def runtimes(self) -> Iterator[Component]:
        """What the toolchains link into a native module."""
        for where, name in _RUNTIMES:
            yield _debian(next(p for p in self.debian[where] if p["name"] == name))


def _component(kind: str, name: str, version: str, sha256: str, linkage: str) -> Component:
    purl = f"pkg:{kind}/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "scope": "required",
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        # static: inside the wheel. installed: apart, by pip; the version is the tested one.
        "properties": [{"name": "infeng:linkage", "value": linkage}],
    }


def _debian(package: dict[str, Any]) -> Component:
    return _component(
        "deb/debian", package["name"], package["version"], package["sha256"], "static"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("contents", "cargo", "python", "debian", "modules", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", required=True)
    args = parser.parse_args()
    locks = Locks(args.cargo, args.python, args.debian, args.modules)
    found = {c["bom-ref"]: c for c in locks.runtimes()}
    for line in args.contents.read_text().splitlines():
        kind, label = line.split(" ", 1)
        match = re.match(r"@@?([^/@]+)//([^:]*):", label)
        if kind in _LIBRARIES and match:
            component = locks.component(match[1], match[2])
            if component:
                found[component["bom-ref"]] = component
    root = f"pkg:pypi/{args.name}@{args.version}"
    components = [found[ref] for ref in sorted(found)]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": args.name,
                "version": args.version,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [c["bom-ref"] for c in components]}],
    }
    args.out.write_text(json.dumps(bom, indent=1) + "\n")


if __name__ == "__main__":
    main()
