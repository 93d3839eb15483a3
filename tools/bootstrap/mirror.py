"""Finds a Debian mirror. No host is named in this repository."""

import glob
import os
import re
import shlex
import subprocess
import urllib.request

from errors import BootstrapError

VARIABLE = "INFENG_DEB_MIRROR"
APT = "/etc/apt"
# Other vendors' repositories use these suites' names too; see _rank.
_SUITES = re.compile(
    r"(oldoldstable|oldstable|stable|testing|unstable|sid|buster|bullseye|"
    r"bookworm|trixie|forky|duke)(-updates|-backports)?/?"
)


def mirror():
    """Base address of a mirror of the main archive, without a slash at its end.

    From $INFENG_DEB_MIRROR, or else from the host's apt configuration."""
    if os.environ.get(VARIABLE):
        address = os.environ[VARIABLE].rstrip("/")
        if not re.match(r"(https?|file)://", address):
            raise BootstrapError(
                f"{VARIABLE} must be an http, https or file address, not '{address}'"
            )
        return address
    candidates = sorted(_candidates(), key=_rank)
    if not candidates:
        raise BootstrapError(
            f"no Debian mirror is known: {APT} names none; set {VARIABLE} to the address of one"
        )
    return candidates[0]


def source():
    """Where mirror() has its answer from, for messages."""
    return VARIABLE if os.environ.get(VARIABLE) else APT


def _rank(address):
    if address.endswith("/debian"):
        return 0
    return 1 if "/debian/" in address else 2


def _candidates():
    """Addresses of the apt sources that serve a Debian suite's main component."""
    for name in [f"{APT}/sources.list", *sorted(glob.glob(f"{APT}/sources.list.d/*"))]:
        try:
            with open(name, encoding="utf-8", errors="replace") as f:
                text = f.read()
        except OSError:
            continue
        if name.endswith(".list"):
            entries = _one_line(text)
        elif name.endswith(".sources"):
            entries = _deb822(text)
        else:
            continue
        for addresses, suites, components in entries:
            if "main" in components and any(_SUITES.fullmatch(s) for s in suites):
                for address in addresses:
                    yield from _resolved(address)


def _one_line(text):
    """Entries of a .list file: `deb [options] address suite component...`."""
    for line in text.splitlines():
        m = re.match(r"deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)\s+([^#]*)", line.strip())
        if m:
            yield [m.group(1)], [m.group(2)], m.group(3).split()


def _deb822(text):
    """Entries of a .sources file: stanzas of fields, continued by indented lines."""
    text = re.sub(r"^#.*\n?", "", text, flags=re.M)
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            k.lower(): v.split() for k, v in re.findall(r"^([\w-]+):((?:.|\n[ \t])*)", stanza, re.M)
        }
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"])[0] != "no":
            yield fields.get("uris", []), fields.get("suites", []), fields.get("components", [])


def _resolved(address):
    """The address, or for a list of mirrors on this disk, those it lists."""
    if re.match(r"(https?|file)://", address):
        yield address.rstrip("/")
    elif address.startswith(("mirror+file:", "mirror:file:")):
        try:
            with open("/" + address.split(":")[-1].lstrip("/"), encoding="utf-8") as f:
                lines = f.read().splitlines()
        except OSError:
            return
        for line in lines:
            if re.match(r"https?://", line.strip()):
                yield line.split()[0].rstrip("/")


def opener():
    """A urllib opener with the proxies of the environment or, lacking them, of apt."""
    proxies = urllib.request.getproxies()
    if "http" not in proxies and "https" not in proxies:
        proxies.update(_apt_proxies())
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies))


def _apt_proxies():
    try:
        out = subprocess.run(
            [
                "apt-config",
                "shell",
                "http",
                "Acquire::http::Proxy",
                "https",
                "Acquire::https::Proxy",
            ],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    pairs = (word.split("=", 1) for word in shlex.split(out))
    return {kind: value for kind, value in pairs if value.startswith("http")}
