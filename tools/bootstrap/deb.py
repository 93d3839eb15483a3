"""Unpacks .deb packages and source archives under a folder: no dpkg, no root."""

import lzma
import os
import tarfile
import threading
import zlib

from errors import BootstrapError

# usrmerge: old packages ship lib/..., new ones usr/lib/...; one tree for both.
MERGED = ("bin", "sbin", "lib", "lib64")
# Nothing at build or run time reads these.
_UNWANTED = (
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/info/",
    "usr/share/bug/",
    "etc/init.d/",
)
_BLOCK = 1 << 20


class Tree:
    """A folder that several packages are unpacked into, possibly at the same time.

    Should two packages hold the same path, the one of the lower rank has it, whatever
    the order in time: the tree is the same on every machine."""

    def __init__(self, root, skip=None):
        """`skip`: compiled regex, matched at the start of a path: not unpacked.

        Once the event `cancelled` is set, unpacking ends early and the tree is no use."""
        self.root = root
        self.cancelled = threading.Event()
        self._skip = skip
        self._owner = {}
        self._mutex = threading.Lock()

    def add_package(self, rank, archive):
        """Unpacks a .deb: its data, not its maintainer scripts."""
        with open(archive, "rb") as f:
            _seek_data(f, archive)
            self._add(f, rank, _in_package, self._package_target)

    def add_source(self, rank, archive):
        """Unpacks a source archive without its one top folder."""
        with open(archive, "rb") as f:
            self._add(f, rank, _in_source, lambda path, target: target)

    def finish(self):
        """Removes links into packages that were left out: Bazel's glob trips over them."""
        for folder, _, files in os.walk(self.root):
            for name in files:
                path = os.path.join(folder, name)
                if os.path.islink(path) and not os.path.exists(path):
                    os.unlink(path)

    def _add(self, f, rank, inside, link_target):
        try:
            with tarfile.open(fileobj=f, mode="r|*") as tar:
                for member in tar:
                    if self.cancelled.is_set():
                        return
                    self._add_member(tar, member, rank, inside, link_target)
        except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as error:
            raise BootstrapError(f"cannot unpack {f.name} ({error})") from error

    def _add_member(self, tar, member, rank, inside, link_target):
        name = inside(member.name)
        if not name or (name + "/").startswith(_UNWANTED) or self._skip and self._skip.match(name):
            return
        path = os.path.join(self.root, name)
        if member.isdir():
            os.makedirs(path, exist_ok=True)
            return
        with self._mutex:
            if self._owner.setdefault(name, rank) < rank:
                return
            self._owner[name] = rank
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        if member.issym():
            os.symlink(link_target(path, member.linkname), path)
        elif member.islnk():
            os.link(os.path.join(self.root, inside(member.linkname)), path)
        elif member.isfile():
            with open(path, "xb") as out:
                source = tar.extractfile(member)
                for block in iter(lambda: source.read(_BLOCK), b""):
                    if self.cancelled.is_set():
                        return
                    out.write(block)
            # Read-only: repositories are hard links to it.
            os.chmod(path, 0o555 if member.mode & 0o111 else 0o444)

    def _package_target(self, path, target):
        """A link's target; absolute ones become relative, so that the root can be anywhere."""
        if not target.startswith("/"):
            return target
        return os.path.relpath(os.path.join(self.root, _in_package(target)), os.path.dirname(path))


def _seek_data(f, name):
    """Positions f at the data.tar member of the ar archive, which is its last one."""
    if f.read(8) != b"!<arch>\n":
        raise BootstrapError(f"{name} is not a Debian package")
    while True:
        head = f.read(60)
        if len(head) < 60:
            raise BootstrapError(f"{name} has no data.tar")
        if head.startswith(b"data.tar"):
            if head[8:12] == b".zst":
                raise BootstrapError(f"{name} is compressed with zstd, which is not supported")
            return
        if not head[48:58].strip().isdigit():
            raise BootstrapError(f"{name} is not a sound Debian package")
        size = int(head[48:58])
        f.seek(size + size % 2, os.SEEK_CUR)


def _safe(name):
    name = os.path.normpath(name).lstrip("/")
    if name.split("/")[0] == "..":
        raise BootstrapError(f"an archive's path leaves its root: {name}")
    return "" if name == "." else name


def _in_package(name):
    name = _safe(name)
    return "usr/" + name if name.split("/")[0] in MERGED else name


def _in_source(name):
    return _safe(name).partition("/")[2]
