"""The key store by which Bazel's Java trusts what the host trusts."""

import base64
import hashlib
import os
import struct

import pytest
import truststore


def entries(store):
    """[(alias, certificate)] of a key store; checks its form and seal."""
    magic, version, count = struct.unpack_from(">III", store)
    assert (magic, version) == (0xFEEDFEED, 2)
    position, found = 12, []

    def take(form):
        nonlocal position
        values = struct.unpack_from(form, store, position)
        position += struct.calcsize(form)
        return values[0]

    for _ in range(count):
        assert take(">I") == 2
        alias = take(f">{take('>H')}s")
        take(">Q")
        assert take(f">{take('>H')}s") == b"X.509"
        found.append((alias.decode(), take(f">{take('>I')}s")))
    seal = hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + store[:position])
    assert store[position:] == seal.digest()
    return found


def test_key_store():
    certificates = [b"one", os.urandom(70_000), b""]
    found = entries(truststore.key_store(certificates))
    assert [c for _, c in found] == certificates
    assert len({alias for alias, _ in found}) == 3


@pytest.fixture
def listing(folder, monkeypatch):
    """Path of the host's list of authorities, not written yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    path = os.path.join(folder, "list.crt")
    monkeypatch.setenv("SSL_CERT_FILE", path)
    return path


def write(path, *certificates):
    with open(path, "w") as f:
        for c in certificates:
            f.write(
                "# name\n-----BEGIN CERTIFICATE-----\n"
                + base64.encodebytes(c).decode()
                + "-----END CERTIFICATE-----\n"
            )


def test_follows_the_hosts_list(listing):
    write(listing, b"a" * 100, b"b")
    first = truststore.path()
    with open(first, "rb") as f:
        assert [c for _, c in entries(f.read())] == [b"a" * 100, b"b"]
    assert truststore.path() == first
    write(listing, b"c")
    second = truststore.path()
    assert second != first
    with open(second, "rb") as f:
        assert [c for _, c in entries(f.read())] == [b"c"]


def test_empty_list(listing):
    write(listing)
    assert truststore.path() is None
