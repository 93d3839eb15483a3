"""Which mirror is found in an apt configuration."""

import os

import errors
import mirror
import pytest

DEBIAN = "http://a.example/debian"


@pytest.fixture
def apt(folder, monkeypatch):
    """Writes files of a fake /etc/apt."""
    monkeypatch.setattr(mirror, "APT", folder)
    monkeypatch.delenv(mirror.VARIABLE, raising=False)
    os.makedirs(os.path.join(folder, "sources.list.d"))

    def write(name, text):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)

    return write


def test_variable_wins(apt, monkeypatch):
    apt("sources.list", f"deb {DEBIAN} bookworm main\n")
    monkeypatch.setenv(mirror.VARIABLE, "https://b.example/x/")
    assert mirror.mirror() == "https://b.example/x"
    assert mirror.source() == mirror.VARIABLE


@pytest.mark.parametrize(
    "line",
    [
        f"deb {DEBIAN} bookworm main contrib",
        f"deb {DEBIAN}/ trixie-updates main # comment",
        f"deb [arch=amd64 signed-by=/k.gpg] {DEBIAN} sid main",
        f"  deb\t{DEBIAN}   stable   main",
    ],
)
def test_one_line(apt, line):
    apt("sources.list", f"# deb http://no.example/debian bookworm main\n{line}\n")
    assert mirror.mirror() == DEBIAN


@pytest.mark.parametrize(
    "text",
    [
        f"Types: deb\nURIs: {DEBIAN}\nSuites: bookworm bookworm-updates\nComponents: main\n",
        f"types: deb deb-src\nuris:\n {DEBIAN}/\n http://b.example/debian\nsuites:\n trixie\n"
        "components: main non-free-firmware\n",
        f"Types: deb\n# URIs: http://no.example/debian\nURIs: {DEBIAN}\nSuites: trixie\n"
        "Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n",
        "Enabled: no\nTypes: deb\nURIs: http://no.example/debian\nSuites: trixie\n"
        f"Components: main\n\nTypes: deb\nURIs: {DEBIAN}\nSuites: trixie\nComponents: main\n",
        "Types: deb-src\nURIs: http://no.example/debian\nSuites: trixie\nComponents: main\n\n"
        f"Types: deb\nURIs: {DEBIAN}\nSuites: trixie\nComponents: main\n",
    ],
)
def test_deb822(apt, text):
    apt("sources.list.d/debian.sources", text)
    assert mirror.mirror() == DEBIAN


def test_other_vendors_are_passed_over(apt):
    apt(
        "sources.list.d/a.list",
        "deb https://vendor.example/linux/debian bookworm stable\n"  # not the main component
        "deb https://vendor.example bookworm main\n"  # a suite's name, but the whole host
        "deb http://a.example/debian-security bookworm-security main\n"
        "deb https://vendor.example/debian vendor-bookworm main\n",
    )
    apt("sources.list.d/b.list", f"deb {DEBIAN} bookworm main\n")
    assert mirror.mirror() == DEBIAN


def test_list_of_mirrors(apt, folder):
    apt("mirrors.txt", f"# first\n{DEBIAN}/\tpriority:1\nhttp://b.example/debian\n")
    apt("sources.list", f"deb mirror+file:{folder}/mirrors.txt bookworm main\n")
    assert mirror.mirror() == DEBIAN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deb cdrom:[Debian]/ bookworm main\n",
        "nonsense [ deb\n",
        "deb http://ubuntu.example/ubuntu noble main\n",
    ],
)
def test_none(apt, text):
    apt("sources.list", text)
    with pytest.raises(errors.BootstrapError, match=mirror.VARIABLE):
        mirror.mirror()


def test_unreadable_bytes(apt, folder):
    with open(os.path.join(folder, "sources.list"), "wb") as f:
        f.write(b"# \xff\xfe\ndeb " + DEBIAN.encode() + b" bookworm main\n")
    assert mirror.mirror() == DEBIAN


def test_proxy_of_apt(monkeypatch, folder):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    script = os.path.join(folder, "apt-config")
    with open(script, "w") as f:
        f.write("#!/bin/sh\necho \"http='http://proxy.example:3142'\"\necho \"https='DIRECT'\"\n")
    os.chmod(script, 0o755)
    monkeypatch.setenv("PATH", folder, prepend=os.pathsep)
    assert proxies() == {"http": "http://proxy.example:3142"}
    monkeypatch.setenv("http_proxy", "http://mine.example")
    assert proxies()["http"] == "http://mine.example"


def proxies():
    (handler,) = [h for h in mirror.opener().handlers if hasattr(h, "proxies")]
    return handler.proxies
