"""What is read from apt's answers; apt itself is played by scripts with its real output."""

import os
import re
import stat

import apt
import errors
import lock
import lockfile
import mirror
import pytest

PRINT_URIS = """\
'http://m/debian/pool/main/b/bazel-bootstrap/bazel-bootstrap_7.7.1%2bds-8%2bb1_amd64.deb' \
bazel-bootstrap_7.7.1+ds-8+b1_amd64.deb 790064 SHA256:aa
'http://m/debian/pool/main/g/gcc-12/libstdc%2b%2b6_12.2.0-14_amd64.deb' \
libstdc++6_12.2.0-14_amd64.deb 613000 SHA256:bb
'http://m/debian/pool/main/p/perl/perl-base_5.36.0-7_amd64.deb' perl-base_5.36.0-7_amd64.deb 1 SHA256:cc
"""
SHOW = """\
Package: libstdc++6
Source: gcc-12
Version: 12.2.0-14
Installed-Size: 2738
Filename: pool/main/g/gcc-12/libstdc++6_12.2.0-14_amd64.deb
Size: 613000
SHA256: %s
Description: GNU Standard C++ Library v3
 This is not a field:
 Version: 0

Package: bazel-bootstrap
Version: 7.7.1+ds-8+b1
Installed-Size: 100
Filename: pool/main/b/bazel-bootstrap/bazel-bootstrap_7.7.1%%2bds-8+b1_amd64.deb
Size: 790064
SHA256: %s
""" % ("b" * 64, "a" * 64)
SHOWSRC = """\
Package: benchmark
Binary: libbenchmark-dev, libbenchmark1
Version: 1.9.1-1
Checksums-Sha1:
 %s 255148 benchmark_1.9.1.orig.tar.gz
Checksums-Sha256:
 %s 3000 benchmark_1.9.1-1.dsc
 %s 255148 benchmark_1.9.1.orig.tar.gz
 %s 4000 benchmark_1.9.1-1.debian.tar.xz
Directory: pool/main/b/benchmark
""" % ("1" * 40, "2" * 64, "3" * 64, "4" * 64)


@pytest.fixture
def tools(folder, monkeypatch):
    """tools(name, output, code=0, errors="") puts a program on the path."""
    monkeypatch.setenv("PATH", folder + ":/usr/bin:/bin")
    monkeypatch.setenv(mirror.VARIABLE, "http://m/debian")
    monkeypatch.setattr(apt, "KEYRING", __file__)

    def write(name, output="", code=0, message=""):
        for suffix, text in ((".out", output), (".err", message)):
            with open(os.path.join(folder, name + suffix), "w") as f:
                f.write(text)
        path = os.path.join(folder, name)
        with open(path, "w") as f:
            f.write(
                f'#!/bin/sh\ncat "$0.err" >&2\necho "$@" >> "$0.args"\n'
                f'cat "$APT_CONFIG" >> "$0.conf"\ncat "$0.out"\nexit {code}\n'
            )
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    write.folder = folder
    return write


def test_closure(tools):
    tools("apt-get", PRINT_URIS)
    tools("apt-cache", SHOW)
    entries = apt.Suite("forky").resolve({"roots": ["bazel-bootstrap"], "exclude": ["perl.*"]})
    assert entries == [
        {
            "name": "bazel-bootstrap",
            "version": "7.7.1+ds-8+b1",
            "path": "pool/main/b/bazel-bootstrap/bazel-bootstrap_7.7.1+ds-8+b1_amd64.deb",
            "size": 790064,
            "unpacked": 102400,
            "sha256": "a" * 64,
        },
        {
            "name": "libstdc++6",
            "version": "12.2.0-14",
            "path": "pool/main/g/gcc-12/libstdc++6_12.2.0-14_amd64.deb",
            "size": 613000,
            "unpacked": 2738 * 1024,
            "sha256": "b" * 64,
        },
    ]
    with open(os.path.join(tools.folder, "apt-cache.args")) as f:
        assert f.read() == "show --no-all-versions bazel-bootstrap libstdc++6\n"


def test_configuration_is_isolated(tools):
    tools("apt-get", PRINT_URIS)
    tools("apt-cache", SHOW)
    apt.Suite("forky").resolve({"roots": ["bazel-bootstrap"]})
    with open(os.path.join(tools.folder, "apt-get.conf")) as f:
        text = f.read()
    folders = re.findall(r'^Dir::(?:Etc::source\w+|State::\w+|Cache) "([^"]+)"', text, re.M)
    assert len(folders) >= 5
    assert not any(f.startswith(("/etc", "/var/lib")) for f in folders)


def test_root_that_was_excluded(tools):
    tools("apt-get", PRINT_URIS)
    with pytest.raises(errors.BootstrapError, match="perl-base"):
        apt.Suite("forky").resolve({"roots": ["perl-base"], "exclude": ["perl.*"]})


def test_source(tools):
    tools("apt-get")
    tools("apt-cache", SHOWSRC)
    (entry,) = apt.Suite("trixie").resolve({"roots": ["benchmark"], "source": True})
    assert entry["path"] == "pool/main/b/benchmark/benchmark_1.9.1.orig.tar.gz"
    assert (entry["version"], entry["size"], entry["sha256"]) == ("1.9.1-1", 255148, "3" * 64)


def test_unknown_source(tools):
    tools("apt-get")
    tools("apt-cache", "")
    with pytest.raises(errors.BootstrapError, match="'benchmark'"):
        apt.Suite("trixie").resolve({"roots": ["benchmark"], "source": True})


def test_index_that_cannot_be_had(tools):
    tools(
        "apt-get", code=100, message="W: noise\nE: Failed to fetch http://m/x  Could not connect\n"
    )
    with pytest.raises(errors.BootstrapError) as raised:
        apt.Suite("forky")
    line = str(raised.value)
    assert "forky" in line and mirror.VARIABLE in line and "Could not connect" in line
    assert "\n" not in line


def test_no_apt(tools, monkeypatch):
    monkeypatch.setenv("PATH", tools.folder)
    with pytest.raises(errors.BootstrapError, match="apt-get is needed"):
        apt.Suite("forky")


def test_no_keyring(tools, monkeypatch):
    monkeypatch.setattr(apt, "KEYRING", "/nonexistent/keyring.gpg")
    with pytest.raises(errors.BootstrapError, match="debian-archive-keyring"):
        apt.Suite("forky")


def test_lock_command(tools, monkeypatch, capsys):
    path = os.path.join(tools.folder, "debs.lock.json")
    monkeypatch.setattr(lockfile, "PATH", path)
    monkeypatch.setattr(
        lock,
        "SETS",
        {
            "a": {"suite": "forky", "roots": ["bazel-bootstrap"]},
            "b": {"suite": "forky", "roots": ["libstdc++6"], "closure": False},
        },
    )
    tools("apt-get", PRINT_URIS)
    tools("apt-cache", SHOW)
    lock.main([])
    with open(path) as f:
        lines = f.read().splitlines()
    assert sum('"name": "libstdc++6"' in line for line in lines) == 2  # one archive a line
    assert list(lockfile.read()) == ["a", "b"]
    assert "a: 2 archives, 1.4 MB" in capsys.readouterr().out
    with open(os.path.join(tools.folder, "apt-get.args")) as f:
        assert f.read().count(" update") == 1  # one index serves all sets of a suite


def test_lock_of_an_unknown_set(monkeypatch):
    monkeypatch.setattr(lock, "SETS", {"a": {}})
    with pytest.raises(errors.UsageError, match="'b'"):
        lock.main(["b"])
