"""The wheel, as a stranger meets it: pip puts it into a fresh environment, where it answers.

pip takes the wheel's requirements from a folder: there is no network here. The folder has the
pinned packages, packed again from their files."""

from __future__ import annotations

import base64
import email
import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

WHEEL = Path(os.environ["INFENG_WHEEL"]).resolve()
# What third_party/python/lock.py leaves out, since nothing of ours imports it.
_UNLOCKED = re.compile(rb"(?m)^Requires-Dist: (requests|huggingface-hub)\b.*\n")
PROMPT = "Why is the sky blue?"


def _names(archive: zipfile.ZipFile, pattern: str) -> list[str]:
    return [name for name in archive.namelist() if re.search(pattern, name)]


def _metadata() -> email.message.Message:
    with zipfile.ZipFile(WHEEL) as archive:
        (name,) = _names(archive, r"\.dist-info/METADATA$")
        return email.message_from_bytes(archive.read(name))


def _sbom() -> bytes:
    with zipfile.ZipFile(WHEEL) as archive:
        (name,) = _names(archive, r"\.dist-info/sboms/infeng\.cdx\.json$")
        return archive.read(name)


def _packed(distribution: importlib.metadata.Distribution, folder: Path) -> None:
    # `pip install --target` has unpacked the wheel into a folder of its own (toolchains/python).
    info: Path = distribution._path  # type: ignore[attr-defined]
    tags = email.message_from_string((info / "WHEEL").read_text()).get_all("Tag") or []
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*(t.split("-") for t in tags)))
    stem = info.name.removesuffix(".dist-info")
    record = ""
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as archive:
        for file in sorted(info.parent.rglob("*")):
            name = file.relative_to(info.parent).as_posix()
            if file.is_file() and not name.startswith("bin/") and "__pycache__" not in name:
                data = file.read_bytes()
                if name.endswith(".dist-info/METADATA"):
                    data = _UNLOCKED.sub(b"", data)
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
                record += f'"{name}",sha256={digest.decode()},{len(data)}\n'
                archive.writestr(name, data)
        archive.writestr(f"{info.name}/RECORD", f"{record}{info.name}/RECORD,,\n")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    for distribution in importlib.metadata.distributions():
        # What the tests alone need is left out: pip must not find it.
        if distribution.name not in ("pip", "auditwheel", "pytest", "cyclonedx-python-lib"):
            _packed(distribution, folder)
    model = next(Path("..").glob("*smollm2/site/*.dist-info"))
    _packed(importlib.metadata.Distribution.at(model), folder)
    return folder


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Path:
    """The interpreter of an environment in which pip has installed the wheel, and nothing but it."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    program = folder / "bin/python"
    # The pinned interpreter is a script that finds its files beside itself: not through a link.
    script = Path(sys.executable).read_text()
    root = Path(sys.executable).parents[2].resolve()
    for name in ("python", "python3", "python3.11"):
        (folder / "bin" / name).unlink(missing_ok=True)
    program.write_text(re.sub(r"(?m)^root=.*$", f"root={root}", script))
    program.chmod(0o755)
    _pip(program, packages, str(WHEEL))
    return program


def _pip(python: Path, packages: Path, *what: str) -> None:
    pip = next(Path(p) for p in sys.path if (Path(p) / "pip/__main__.py").exists())
    _run(
        [python, "-m", "pip", "install", "--no-index", "--find-links", packages, *what],
        {"PYTHONPATH": str(pip.resolve()), "PIP_CONFIG_FILE": os.devnull},
    )


def _run(command: list[str | Path], env: dict[str, str] | None = None, code: int = 0) -> str:
    """What a command prints that ends with `code`: its output, or its complaint if it fails."""
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["TEST_TMPDIR"]} | (env or {}),
        text=True,
        timeout=600,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_auditwheel_finds_the_platform_that_the_name_says() -> None:
    report = json.loads(
        _run(
            [sys.executable, "-m", "auditwheel", "show", "--json", WHEEL],
            {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    )
    assert WHEEL.name.endswith(f"-cp311-cp311-{report['overall_tag']}.whl"), report
    assert report["overall_tag"].startswith("manylinux_"), report
    assert not report["external_libs"], report


def test_only_what_runs_is_inside() -> None:
    with zipfile.ZipFile(WHEEL) as archive:
        assert _names(archive, r"(_test\.py|testing|default_model|\.infq|\.gguf)$") == []
        for name in ("native/_native.so", "native/_native.pyi", "py.typed", "serve/page.html"):
            assert f"infeng/{name}" in archive.namelist()
        (license,) = _names(archive, r"\.dist-info/licenses/LICENSE$")
        assert b"Apache License" in archive.read(license)


def test_every_module_imports_with_the_requirements_alone(python: Path) -> None:
    code = (
        "import importlib, pkgutil, infeng\n"
        "for module in pkgutil.walk_packages(infeng.__path__, 'infeng.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "print(infeng.__file__, infeng.version.__version__)\n"
    )
    file, version = _run([python, "-I", "-c", code]).split()
    assert Path(file).is_relative_to(python.parents[1])
    assert version == _metadata()["Version"] == WHEEL.name.split("-")[1]


def test_all_tiers_are_inside(python: Path) -> None:
    tiers = json.loads(_run([python.with_name("infeng"), "doctor", "--json"]))["tiers"]
    assert {name: tier["compiled"] for name, tier in tiers.items()} == dict.fromkeys(
        ("scalar", "avx2", "avx512", "amx"), True
    )


def test_answers_as_the_build_does(python: Path, packages: Path) -> None:
    line = _run([python.with_name("infeng"), "run", PROMPT], code=1)
    command = re.search(r"`pip install ([^`]+)`", line)
    assert command and len(line.splitlines()) == 1, line
    _pip(python, packages, *command[1].split())

    def ids(program: list[str | Path], *arguments: str) -> list[int]:
        common = ("run", "--greedy", "--max-tokens=16", "--json")
        answer = json.loads(_run([*program, *common, *arguments, PROMPT]))
        found: list[int] = answer["ids"]
        assert len(found) == 16
        return found

    installed: list[str | Path] = [python.with_name("infeng")]
    path = os.pathsep.join(sys.path)
    built: list[str | Path] = ["env", f"PYTHONPATH={path}", sys.executable, "-m", "infeng"]
    adapter = "--adapter=json=" + os.path.abspath("testdata/adapters/json")
    plain = ids(built)
    assert ids(installed) == plain
    assert ids(installed, "--force_path=scalar") == plain
    adapted = ids(built, adapter)
    assert ids(installed, adapter) == adapted != plain


def test_what_is_linked_in_has_its_licence_beside_it() -> None:
    with zipfile.ZipFile(WHEEL) as archive:
        names = [n.split("/", 2)[2] for n in _names(archive, r"\.dist-info/licenses/.")]
    assert sorted(names) == sorted(_metadata().get_all("License-File") or [])
    for component in json.loads(_sbom())["components"]:
        if component["properties"][0]["value"] != "static" or "/libst" in component["purl"]:
            continue  # GCC's exception asks for no notice; Rust's std is had under our own licence
        name = component["name"].removeprefix("lib").removesuffix("-dev").replace("3", "")
        folders = {n.partition("/")[0] for n in names}
        crate = f"{component['name']}-{component['version']}"
        assert folders & {crate, name, name.replace("-", "_")}, component["purl"]


def test_the_bill_of_materials_is_valid_cyclonedx() -> None:
    errors = JsonStrictValidator(SchemaVersion.V1_5).validate_str(_sbom().decode())
    assert errors is None, errors


def test_the_bill_of_materials_lists_what_is_inside_and_what_pip_brings() -> None:
    components = json.loads(_sbom())["components"]
    linkage = {(c["purl"].split("@")[0]): c["properties"][0]["value"] for c in components}
    for purl in (
        "pkg:cargo/fancy-regex",
        "pkg:cargo/serde_json",
        "pkg:deb/debian/libstdc++-12-dev",
        "pkg:deb/debian/libxxhash-dev",
        "pkg:deb/debian/nlohmann-json3-dev",
        "pkg:pypi/pybind11",
    ):
        assert linkage[purl] == "static", purl
    # Made use of by the build alone.
    assert "pkg:cargo/syn" not in linkage
    installed = {p.removeprefix("pkg:pypi/") for p, how in linkage.items() if how == "installed"}
    required = {re.split("[^a-z0-9-]", r)[0] for r in _metadata().get_all("Requires-Dist") or []}
    assert required <= installed
    assert "pytest" not in installed
