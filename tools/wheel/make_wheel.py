"""Packs a wheel: https://packaging.python.org/specifications/binary-distribution-format/.

The same input gives the same bytes: files are sorted, and none has a time of its own."""

from __future__ import annotations

import argparse
import base64
import hashlib
import zipfile
from pathlib import Path

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_MODE = 0o644 << 16


def main() -> None:
    parser = argparse.ArgumentParser(fromfile_prefix_chars="@")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--metadata", type=Path, required=True)
    parser.add_argument("--description", type=Path, required=True)
    parser.add_argument("--script", action="append", default=[])
    parser.add_argument("--dist-info", action="append", default=[], help="PATH=FILE")
    parser.add_argument("files", nargs="*", help="PATH=FILE")
    args = parser.parse_args()

    name, version, python, abi, platform = args.out.stem.split("-")
    info = f"{name}-{version}.dist-info"
    fields = args.metadata.read_text().rstrip("\n")
    contents = _read(args.files)
    contents |= {f"{info}/{path}": data for path, data in _read(args.dist_info).items()}
    licenses = sorted(path for path in _read(args.dist_info) if path.startswith("licenses/"))
    fields += "".join(f"\nLicense-File: {path.removeprefix('licenses/')}" for path in licenses)
    contents[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{fields}\n\n"
        f"{args.description.read_text()}"
    ).encode()
    contents[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: infeng\nRoot-Is-Purelib: false\n"
        f"Tag: {python}-{abi}-{platform}\n"
    ).encode()
    contents[f"{info}/entry_points.txt"] = "\n".join(
        ["[console_scripts]", *args.script, ""]
    ).encode()

    with zipfile.ZipFile(args.out, "w", zipfile.ZIP_DEFLATED) as archive:
        record = []
        for path, data in sorted(
            contents.items(), key=lambda item: (item[0].startswith(info), item)
        ):
            _add(archive, path, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}\n")
        _add(archive, f"{info}/RECORD", "".join([*record, f"{info}/RECORD,,\n"]).encode())


def _read(pairs: list[str]) -> dict[str, bytes]:
    return {path: Path(file).read_bytes() for path, file in (pair.split("=", 1) for pair in pairs)}


def _add(archive: zipfile.ZipFile, path: str, data: bytes) -> None:
    member = zipfile.ZipInfo(path, _TIME)
    member.external_attr = _MODE
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, data)


if __name__ == "__main__":
    main()
