"""Gives Bazel's Java the certificate authorities that this host trusts.

Java reads a key store and not the host's list, and Debian makes that key store when
the runtime is installed, which it is not here. Without one, Bazel's own downloads and
remote caches could not use https.
"""

import base64
import hashlib
import os
import re
import ssl
import struct

import cachedir
import install

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.S)
_MAGIC, _VERSION, _TRUSTED_CERTIFICATE = 0xFEEDFEED, 2, 2
_PASSWORD = "changeit"  # Java's default; it protects nothing, and only seals the file


def path():
    """Path of a key store with the host's authorities; None when the host has no list."""
    listing = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    try:
        with open(listing, "rb") as f:
            content = f.read()
    except OSError:
        return None
    certificates = [
        base64.b64decode(body) for body in _CERTIFICATE.findall(content.decode("ascii", "ignore"))
    ]
    if not certificates:
        return None

    def make(folder, _):
        with open(os.path.join(folder, "cacerts"), "wb") as f:
            f.write(key_store(certificates))

    name = hashlib.sha256(content).hexdigest()[:16]
    return os.path.join(
        install.once(cachedir.path("trust", name), make, "the key store"), "cacerts"
    )


def key_store(certificates):
    """The bytes of a Java key store (JKS) that trusts DER certificates."""
    body = struct.pack(">III", _MAGIC, _VERSION, len(certificates))
    for i, certificate in enumerate(certificates):
        body += struct.pack(">I", _TRUSTED_CERTIFICATE) + _string(f"authority{i}")
        body += struct.pack(">Q", 0) + _string("X.509")  # the time at which it was added
        body += struct.pack(">I", len(certificate)) + certificate
    seal = hashlib.sha1(_PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + body)
    return body + seal.digest()


def _string(text):
    return struct.pack(">H", len(text)) + text.encode()
