"""Two clones in different places share a cache completely: on disk, and over HTTP."""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nested

COMMON = ("--color=no", "--curses=no", "--noshow_progress")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"]))
    try:
        yield folder
    finally:
        nested.remove(folder)


def fill_and_read(folder: Path, cache: str, hit: str) -> None:
    """Builds and tests in one clone, then in another: the second must only read.

    hit: what Bazel calls an action that came from this cache."""
    first = nested.Workspace(folder / "one")
    try:
        ran = first.runners("test", *COMMON, cache, "//fixture:all")
    finally:
        first.close()
    assert ran.get("linux-sandbox", 0) >= 20, f"the first clone built too little: {ran}"
    assert ran.get(hit, 0) == 0, f"the cache was not empty: {ran}"

    second = nested.Workspace(folder / "deeper/and/elsewhere/two")
    try:
        ran = second.runners("test", *COMMON, cache, "//fixture:all")
    finally:
        second.close()
    others = {name: n for name, n in ran.items() if name not in ("total", "internal", hit)}
    assert ran.get(hit, 0) >= 20, ran
    # All but the one test that is measured each time, //fixture:timed_test: a test is two
    # processes, its own and the one that writes its XML.
    assert sum(others.values()) == 2, f"not from the cache: {others}"
    print(f"{ran[hit]} of {ran[hit]} cacheable actions came from the cache; run anew: {others}")


def test_disk_cache() -> None:
    with scratch() as folder:
        fill_and_read(folder, f"--disk_cache={folder / 'cache'}", "disk cache hit")


@contextlib.contextmanager
def cache_server(folder: Path) -> Iterator[str]:
    """nginx with WebDAV on loopback, as a remote cache; gives its address."""
    for name in ("store", "temporary", "logs"):
        (folder / name).mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(f"""
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
  access_log {folder}/logs/access.log;
  client_body_temp_path {folder}/temporary/body;
  proxy_temp_path {folder}/temporary/proxy;
  fastcgi_temp_path {folder}/temporary/fastcgi;
  uwsgi_temp_path {folder}/temporary/uwsgi;
  scgi_temp_path {folder}/temporary/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/store;
    client_max_body_size 1g;
    location / {{
      dav_methods PUT;
      create_full_put_path on;
    }}
  }}
}}
""")
    server = subprocess.Popen(
        [
            os.path.abspath(os.environ["NGINX"]),
            "-p",
            str(folder),
            "-e",
            "stderr",
            "-c",
            str(configuration),
        ]
    )
    try:
        for _ in range(100):
            if server.poll() is not None:
                raise AssertionError(f"nginx ended with {server.returncode}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def test_remote_cache() -> None:
    with scratch() as folder, cache_server(folder / "server") as address:
        fill_and_read(folder, f"--remote_cache={address}", "remote cache hit")
        log = (folder / "server/logs/access.log").read_text()
        assert '"PUT /ac/' in log and '"GET /cas/' in log
