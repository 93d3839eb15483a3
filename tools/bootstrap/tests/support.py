"""What the tests share: packages made here, a mirror on loopback, and a workspace
whose launcher uses them."""

import hashlib
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time

BOOTSTRAP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAUNCHER = os.path.join(os.path.dirname(BOOTSTRAP), "bazel")


def tar(members, compression="xz"):
    """Bytes of a tar archive. members: {path: content}, where a str content is a link's
    target, None a folder, and a tuple (bytes, mode) a file with that mode."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:" + compression) as archive:
        for path, content in members.items():
            info = tarfile.TarInfo(path)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                body, info.mode = content if isinstance(content, tuple) else (content, 0o644)
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def deb(members, compression="xz"):
    """Bytes of a Debian package with these files."""
    suffix = {"xz": ".xz", "gz": ".gz", "": ""}[compression]
    out = b"!<arch>\n"
    for name, body in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", tar({"./control": b"Package: x\n"})),
        ("data.tar" + suffix, tar(members, compression)),
    ):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode()
        out += body + b"\n" * (len(body) % 2)
    return out


class Mirror:
    """An HTTP server on loopback that can misbehave.

    files: {path: bytes}; requests: [(path, Range header or None)] as they came."""

    def __init__(self):
        self.files = {}
        self.requests = []
        self.ignore_range = False
        self.cut = {}  # path -> lengths after which its next replies are cut
        self.status = {}  # path -> statuses of its next replies
        self.block_pause = 0.0  # seconds before each block of 64 KB
        self.stall_after = None  # bytes after which a reply just stops
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.serve(self)

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def count(self, path):
        return sum(1 for p, _ in self.requests if p == path)

    def serve(self, reply):
        path = reply.path.lstrip("/")
        wanted = reply.headers.get("Range")
        self.requests.append((path, wanted))
        statuses = self.status.get(path)
        if statuses or path not in self.files:
            reply.send_error(statuses.pop(0) if statuses else 404)
            return
        body = self.files[path]
        start = int(re.match(r"bytes=(\d+)-", wanted).group(1)) if wanted else 0
        if start and not self.ignore_range:
            reply.send_response(206)
            reply.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
        else:
            reply.send_response(200)
        reply.send_header("Content-Length", str(len(body)))
        reply.end_headers()
        cuts = self.cut.get(path)
        if cuts:
            body = body[: cuts.pop(0)]
        stall = self.stall_after is not None and len(body) > self.stall_after
        if stall:
            body = body[: self.stall_after]
        try:
            for i in range(0, len(body), 1 << 16):
                time.sleep(self.block_pause)
                reply.wfile.write(body[i : i + (1 << 16)])
                reply.wfile.flush()
            if stall:
                time.sleep(5)
        except OSError:
            pass
        reply.close_connection = True


class Workspace:
    """A copy of the launcher with its own sets, lock, cache folder and mirror."""

    def __init__(self, root, mirror):
        self.root = root
        self.mirror = mirror
        self.cache = os.path.join(root, "cache")
        self.checkout = os.path.join(root, "checkout")
        self.code = os.path.join(self.checkout, "tools/bootstrap")
        self.launcher = os.path.join(self.checkout, "tools/bazel")
        os.makedirs(self.code)
        shutil.copy(LAUNCHER, self.launcher)
        for name in os.listdir(BOOTSTRAP):
            if name.endswith(".py"):
                shutil.copyfile(os.path.join(BOOTSTRAP, name), os.path.join(self.code, name))
        self.replace("download.py", "PAUSES = (0.5, 1, 2, 4)", "PAUSES = (0.05,) * 4")
        self.write("MODULE.bazel", 'module(name = "w")\n')
        self._sets = {}
        self._lock = {}
        # Nothing of the host's apt is seen: its programs are not on the path.
        self.env = {
            "HOME": root,
            "PATH": self._path(),
            "XDG_CACHE_HOME": self.cache,
            "INFENG_DEB_MIRROR": mirror.url,
            "no_proxy": "*",
        }

    def _path(self):
        folder = os.path.join(self.root, "bin")
        os.makedirs(folder)
        # Not a link: an interpreter may find its files by the name it is called by.
        with open(os.path.join(folder, "python3"), "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
        os.chmod(os.path.join(folder, "python3"), 0o755)
        for name in ("sh", "dirname", "readlink"):
            os.symlink(shutil.which(name), os.path.join(folder, name))
        return folder

    def write(self, name, text):
        path = os.path.join(self.checkout, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def replace(self, module, old, new):
        """Changes a line of the copied code, such as a time to wait."""
        path = os.path.join(self.code, module)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        assert text.count(old) == 1
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))

    def add_set(self, name, archives, **spec):
        """Adds a set made of {archive's name: bytes}; its files are on the mirror."""
        self._sets[name] = {"suite": "test", "roots": sorted(archives), **spec}
        entries = []
        for package, body in archives.items():
            path = f"pool/{package}+1.deb"
            self.mirror.files[path.replace("+", "%2B")] = body
            entries.append(
                {
                    "name": package,
                    "version": "1",
                    "path": path,
                    "size": len(body),
                    "unpacked": 1000,
                    "sha256": hashlib.sha256(body).hexdigest(),
                }
            )
        self._lock[name] = entries
        self.save()
        return entries

    def save(self):
        self.write("tools/bootstrap/sets.py", f"SETS = {self._sets!r}\n")
        self.write("tools/bootstrap/debs.lock.json", json.dumps(self._lock))

    def archive(self, entry):
        return os.path.join(self.cache, "infeng/archives", entry["sha256"])

    def url_path(self, entry):
        """The path by which the mirror is asked for a lock entry's archive."""
        return entry["path"].replace("+", "%2B")

    def start(self, command, cwd=None, **env):
        environment = {**self.env, **env}
        environment = {k: v for k, v in environment.items() if v is not None}
        return subprocess.Popen(
            command,
            cwd=cwd or self.checkout,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, command, cwd=None, **env):
        """(exit code, stdout, stderr) of a command; a variable set to None is unset."""
        process = self.start(command, cwd, **env)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def fetch_command(self, name, dest):
        return [sys.executable, os.path.join(self.code, "fetch.py"), name, dest]

    def fetch(self, name, dest="out", **env):
        return self.run(self.fetch_command(name, os.path.join(self.root, dest)), **env)

    def bazel(self, *args, cwd=None, **env):
        return self.run([self.launcher, *args], cwd, **env)

    def read(self, name):
        with open(os.path.join(self.root, name), "rb") as f:
            return f.read()


def bazel_package(jar="A-server.jar", client=b"#!/bin/sh\nprintf '%s\\n' \"$@\"\n"):
    """A package with the layout of Debian's Bazel, whose client prints its arguments."""
    share = "./usr/share/bazel/"
    jvm = "./usr/lib/jvm/java-99-openjdk-amd64/"
    files = {
        share + jar: b"jar",
        share + "build-label.txt": b"7.7.1\n",
        share + "bazel_classpath_debian_depends.txt": b"/usr/share/bazel/A-server.jar /no.jar",
        share + "embedded_tools/MODULE.bazel": b'bazel_dep(name = "rules_cc", version = "0.1")\n',
        share + "rules/cc/MODULE.bazel": b'module(\n    name = "rules_cc",\n)\n',
        "./usr/share/cargo/registry/tinyjson-2.5.1/src/lib.rs": b"",
    }
    for program in (
        "./usr/bin/bazel",
        "./usr/libexec/x86_64-linux-gnu/bazel/daemonize",
        jvm + "bin/java",
        jvm + "lib/jspawnhelper",
    ):
        files[program] = (client, 0o755)
    return deb(files)


def one_line(text):
    """The text without its line end; fails unless it is one line and no traceback."""
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text.rstrip("\n")
