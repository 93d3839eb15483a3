"""Asks apt, in isolation from the host's own configuration, what a set holds.

apt is used for the two things that must not be rewritten here: dependency
resolution and the verification of a suite's signed index.
"""

import os
import re
import subprocess
import tempfile
import urllib.parse

import mirror
from errors import BootstrapError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_CONFIGURATION = """
Dir::Etc::sourcelist "{d}/sources.list";
Dir::Etc::sourceparts "{d}/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{d}/parts";
Dir::State::lists "{d}/lists";
Dir::State::status "{d}/status";
Dir::Cache "{d}/cache";
APT::Sandbox::User "root";
APT::Architecture "amd64";
#clear APT::Architectures;
APT::Architectures {{ "amd64"; }};
Acquire::Languages "none";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


class Suite:
    """One suite's verified package lists, in a private folder."""

    def __init__(self, suite):
        if not os.path.exists(KEYRING):
            raise BootstrapError(
                f"{KEYRING} is needed to verify Debian's index; "
                "install the package debian-archive-keyring"
            )
        self._folder = tempfile.TemporaryDirectory()
        d = self._folder.name
        for sub in ("lists/partial", "cache/archives/partial", "parts"):
            os.makedirs(os.path.join(d, sub))
        files = {
            "status": "",  # an empty system: the closure is complete
            "sources.list": "".join(
                f"{kind} [signed-by={KEYRING}] {mirror.mirror()} {suite} main\n"
                for kind in ("deb", "deb-src")
            ),
            "apt.conf": _CONFIGURATION.format(d=d),
        }
        for name, content in files.items():
            with open(os.path.join(d, name), "w", encoding="utf-8") as f:
                f.write(content)
        self._suite = suite
        self._env = dict(os.environ, APT_CONFIG=d + "/apt.conf", LC_ALL="C")
        self._run("apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")

    def _run(self, *command):
        try:
            return subprocess.run(
                command, env=self._env, check=True, text=True, capture_output=True
            ).stdout
        except FileNotFoundError:
            raise BootstrapError(
                f"{command[0]} is needed to read the index of {self._suite} and was not found"
            ) from None
        except subprocess.CalledProcessError as error:
            lines = [line for line in error.stderr.splitlines() if line.startswith("E:")]
            reason = lines[0][2:].strip() if lines else f"{command[0]} failed"
            raise BootstrapError(
                f"cannot read {self._suite} from {mirror.mirror()} ({mirror.source()}): {reason}"
            ) from None

    def resolve(self, spec):
        """The set's archives as lock entries, sorted by name."""
        if spec.get("source"):
            found = [self._source(name) for name in spec["roots"]]
        else:
            found = self._packages(self._closure(spec))
        return sorted(found, key=lambda entry: entry["name"])

    def _closure(self, spec):
        """Names of the packages of a set."""
        if not spec.get("closure", True):
            return spec["roots"]
        out = self._run(
            "apt-get",
            "install",
            "-qq",
            "-y",
            "--print-uris",
            "--no-install-recommends",
            *spec["roots"],
        )
        # 'URI' NAME_VERSION_ARCH.deb SIZE HASH. The name is taken from the second field:
        # in the first one '+' may be written %2b.
        names = [
            line.split("' ")[1].split("_")[0] for line in out.splitlines() if line.startswith("'")
        ]
        drop = re.compile("|".join(spec.get("exclude", [])) or "$^")
        names = [name for name in names if not drop.fullmatch(name)]
        lost = set(spec["roots"]) - set(names)
        if lost:
            raise BootstrapError(f"excluded or unavailable in {self._suite}: {sorted(lost)}")
        return names

    def _packages(self, names):
        out = self._run("apt-cache", "show", "--no-all-versions", *sorted(set(names)))
        for stanza in out.strip().split("\n\n"):
            field = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.M))
            yield {
                "name": field["Package"],
                "version": field["Version"],
                "path": urllib.parse.unquote(field["Filename"]),
                "size": int(field["Size"]),
                "unpacked": int(field.get("Installed-Size", 0)) * 1024,
                "sha256": field["SHA256"],
            }

    def _source(self, name):
        """The upstream archive of a source package, of its newest version."""
        stanzas = self._run("apt-cache", "showsrc", "--only-source", name).strip().split("\n\n")
        for stanza in stanzas:
            field = dict(re.findall(r"^([A-Za-z0-9-]+):[ ]?((?:.*)(?:\n .*)*)", stanza, re.M))
            files = re.findall(
                r"^ ([0-9a-f]{64}) (\d+) (\S+\.orig\.tar\.\w+)$",
                field.get("Checksums-Sha256", ""),
                re.M,
            )
            if field.get("Package") == name and files:
                digest, size, file = files[0]
                return {
                    "name": name,
                    "version": field["Version"],
                    "path": f"{field['Directory']}/{file}",
                    "size": int(size),
                    "unpacked": 8 * int(size),  # not stated; more than usual
                    "sha256": digest,
                }
        raise BootstrapError(f"{self._suite} has no upstream archive of source package '{name}'")
