"""Fetches archives from the mirror into the cache: verified, resumed, each one once."""

import hashlib
import http.client
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request

import cachedir
import filelock
import mirror
import parallel
from errors import BootstrapError
from progress import Progress

CONNECTIONS = 8
TIMEOUT = 30  # seconds without a byte
PAUSES = (0.5, 1, 2, 4)  # seconds after each attempt in a row that brought nothing
BLOCK = 1 << 18


class Gone(Exception):
    """The mirror no longer has this file."""


class _Failed(Exception):
    """An attempt ended early; another may succeed."""


class _Cancelled(Exception):
    """Another download of the same job failed."""


def sha256(path):
    """Hex digest of a file."""
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            h.update(block)
    return h.hexdigest()


def archive(entry):
    """Path in the cache of a lock entry's archive, whether it is there or not."""
    return cachedir.path("archives", entry["sha256"])


def missing_bytes(entries):
    """How much of the entries must be fetched (the content of files is not looked at)."""
    return sum(e["size"] for e in entries if not os.path.exists(archive(e)))


def fetch_all(entries, label):
    """Paths of the verified archives of lock entries, in their order.

    An archive in the cache is used if its content is right and fetched again if not.
    Raises Gone when the mirror lacks one, BootstrapError when one cannot be had."""
    cancelled = threading.Event()
    sound = parallel.each(_sound, entries, CONNECTIONS, cancelled)
    missing = [entry for entry, good in zip(entries, sound) if not good]
    if missing:
        with Progress(label, sum(e["size"] for e in missing)) as progress:
            job = _Job(progress, cancelled)
            # Not waited for after an error: one may sit in a network read.
            parallel.each(job.fetch, missing, CONNECTIONS, cancelled, wait=False)
    return [archive(e) for e in entries]


def _matches(path, entry):
    try:
        return os.path.getsize(path) == entry["size"] and sha256(path) == entry["sha256"]
    except FileNotFoundError:
        return False


def _sound(entry):
    """Whether the cache has the entry's archive; a damaged one is removed."""
    path = archive(entry)
    if _matches(path, entry):
        return True
    if os.path.exists(path):
        with filelock.held(path + ".lock"):
            if _matches(path, entry):  # another process was faster
                return True
            os.unlink(path)
    return False


class _Job:
    """The downloads of one fetch_all."""

    def __init__(self, progress, cancelled):
        self._progress = progress
        self._cancelled = cancelled
        self._mirror = mirror.mirror()
        self._opener = mirror.opener()

    def fetch(self, entry):
        """Brings one entry's archive into the cache."""
        dest = archive(entry)
        # Two sets can share a package, and their repositories are fetched at once.
        with filelock.held(dest + ".lock"):
            if os.path.exists(dest):  # fetched by the process that held the lock
                self._progress.add(entry["size"])
                return
            part = dest + ".part"
            resumed = self._complete(entry, part)
            good = sha256(part) == entry["sha256"]
            if resumed and not good:  # what an earlier run left was not a part of this file
                os.unlink(part)
                self._progress.add(-entry["size"])
                self._complete(entry, part)
                good = sha256(part) == entry["sha256"]
            if not good:
                os.unlink(part)
                raise BootstrapError(
                    f"{self._address(entry)} is not the locked file "
                    "(its sha256 differs); it was not used"
                )
            os.chmod(part, 0o444)
            os.rename(part, dest)
            # Whoever waits for the lock of this now nameless file finds dest made.
            os.unlink(dest + ".lock")

    def _address(self, entry):
        return self._mirror + "/" + urllib.parse.quote(entry["path"])

    def _complete(self, entry, part):
        """Brings the file `part` to its full size; whether some of it was there before."""
        address = self._address(entry)
        with open(part, "ab") as out:
            if out.tell() > entry["size"]:
                out.truncate(0)
                out.seek(0)
            at_start = most = out.tell()
            self._progress.add(at_start)
            failures = 0
            while out.tell() < entry["size"]:
                try:
                    self._receive(address, out, entry["size"])
                    reason = "the mirror sent less than the file"
                except _Failed as error:
                    reason = str(error)
                failures = 0 if out.tell() > most else failures + 1
                most = max(most, out.tell())
                if failures > len(PAUSES):
                    raise BootstrapError(
                        f"cannot fetch {address} ({reason}); check the network, http_proxy "
                        f"and {mirror.VARIABLE} (this mirror is from {mirror.source()})"
                    )
                if failures and self._cancelled.wait(PAUSES[failures - 1]):
                    raise _Cancelled
        return at_start > 0

    def _receive(self, address, out, size):
        """Appends what one request brings, up to `size` bytes in all."""
        blocks = self._request(address, out.tell())
        if next(blocks) == 0 and out.tell():  # the mirror ignores Range
            self._progress.add(-out.tell())
            out.truncate(0)
            out.seek(0)
        for block in blocks:
            if self._cancelled.is_set():
                raise _Cancelled
            block = block[: size - out.tell()]
            out.write(block)
            self._progress.add(len(block))
            if out.tell() >= size:
                break

    def _request(self, address, offset):
        """Yields the offset at which the reply starts, then its blocks.

        A generator, so that only the network's errors become _Failed and not those of
        the disk, which arise in its consumer."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            request = urllib.request.Request(address, headers=headers)
            with self._opener.open(request, timeout=TIMEOUT) as reply:
                if getattr(reply, "status", 200) == 206:
                    start = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
                    if not start or int(start.group(1)) != offset:
                        raise _Failed("the mirror sent another part than the one asked for")
                    yield offset
                else:
                    yield 0
                # read1: what has come counts, even if the next byte never does.
                yield from iter(lambda: reply.read1(BLOCK), b"")
        except urllib.error.HTTPError as error:
            if error.code in (403, 404, 410):
                raise Gone(urllib.parse.urlsplit(address).path) from None
            raise _Failed(f"HTTP {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, FileNotFoundError):  # a file:// mirror
                raise Gone(urllib.parse.urlsplit(address).path) from None
            raise _Failed(getattr(error.reason, "strerror", None) or error.reason) from None
        except (OSError, http.client.HTTPException) as error:
            raise _Failed(
                getattr(error, "strerror", None) or str(error) or type(error).__name__
            ) from None
