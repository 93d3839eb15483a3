"""The lock file as it is committed, and the key of a set."""

import re

import lockfile
import pytest
import sets


def test_every_set_is_locked():
    assert sorted(lockfile.read()) == sorted(sets.SETS)


@pytest.mark.parametrize("name", sorted(sets.SETS))
def test_entries(name):
    entries = lockfile.entries(name)
    assert entries
    for entry in entries:
        assert set(entry) == {"name", "version", "path", "size", "unpacked", "sha256"}
        assert re.fullmatch("[0-9a-f]{64}", entry["sha256"])
        assert entry["size"] > 0 and entry["unpacked"] > 0
        assert re.fullmatch(r"pool/main/[\w.+~-]+/[\w.+-]+/[\w.+~-]+", entry["path"])
        assert "%" not in entry["path"]
    assert len({entry["path"] for entry in entries}) == len(entries)


def test_roots_are_in_their_set():
    for name, spec in sets.SETS.items():
        assert set(spec["roots"]) <= {e["name"] for e in lockfile.entries(name)}


def test_excluded_packages_are_not_in_their_set():
    for name, spec in sets.SETS.items():
        for pattern in spec.get("exclude", []):
            assert not [e for e in lockfile.entries(name) if re.fullmatch(pattern, e["name"])]


def test_key_depends_on_content(monkeypatch):
    before = lockfile.key("xxhash")
    assert lockfile.key("xxhash") == before
    lock = lockfile.read()
    lock["xxhash"][0]["sha256"] = "0" * 64
    monkeypatch.setattr(lockfile, "read", lambda: lock)
    assert lockfile.key("xxhash") != before
    assert lockfile.key("pip") != lockfile.key("xxhash")
    assert lockfile.key("pip", code=["relocate.py"]) != lockfile.key("pip")


def test_digest_of_missing_files(tmp_path):
    (tmp_path / "a").write_text("1")
    a, b = tmp_path / "a", tmp_path / "b"
    before = lockfile.digest([a, b])
    b.write_text("2")
    assert lockfile.digest([a, b]) != before
