"""fetch.py: downloads, resumption, verification, and what goes wrong."""

import os
import signal
import sys
import time

import pytest
from support import deb, one_line, tar

NOISE = bytes(os.urandom(1 << 20))  # incompressible: the archive is as large


@pytest.fixture
def large(workspace):
    """The lock entry of a set 'large' of one package of about 1 MB."""
    return workspace.add_set("large", {"big": deb({"./usr/share/big": NOISE}, "")})[0]


def make_part(workspace, entry, content):
    os.makedirs(os.path.join(workspace.cache, "infeng/archives"), exist_ok=True)
    with open(workspace.archive(entry) + ".part", "wb") as f:
        f.write(content)


def body_of(workspace, entry):
    return workspace.mirror.files[workspace.url_path(entry)]


def test_places_a_set(workspace):
    workspace.add_set(
        "s",
        {
            "one": deb({"./bin/tool": (b"#!", 0o755), "./usr/share/doc/x": b"", "./lib/a": b"A"}),
            "two": deb({"./usr/lib/b": b"B"}, "gz"),
        },
    )
    code, out, err = workspace.fetch("s")
    assert (code, out) == (0, "")
    fetched, unpacked = err.splitlines()
    assert fetched.startswith("Fetching s: 0.0 MB in ")
    assert unpacked.startswith("Unpacking s: 0.0 MB in ")
    assert workspace.read("out/usr/bin/tool") == b"#!"
    assert os.access(os.path.join(workspace.root, "out/usr/bin/tool"), os.X_OK)
    assert workspace.read("out/lib/a") == b"A"  # through the usrmerge link
    assert workspace.read("out/usr/lib/b") == b"B"
    assert not os.path.exists(os.path.join(workspace.root, "out/usr/share/doc"))
    assert ".complete" not in os.listdir(os.path.join(workspace.root, "out"))


def test_second_fetch_needs_no_mirror(workspace, large):
    assert workspace.fetch("large")[0] == 0
    code, _, err = workspace.fetch("large", "again", INFENG_DEB_MIRROR="http://127.0.0.1:1")
    assert (code, err) == (0, "")
    assert len(workspace.mirror.requests) == 1
    a, b = (os.stat(os.path.join(workspace.root, d, "usr/share/big")) for d in ("out", "again"))
    assert a.st_ino == b.st_ino  # hard links
    assert a.st_mode & 0o222 == 0  # nothing writes to the cache through one


def test_into_a_folder_with_old_content(workspace, large):
    os.makedirs(os.path.join(workspace.root, "out/usr/share"))
    with open(os.path.join(workspace.root, "out/usr/share/big"), "w") as f:
        f.write("old")
    assert workspace.fetch("large")[0] == 0
    assert workspace.read("out/usr/share/big") == NOISE


def test_resumes_a_part(workspace, large):
    body = body_of(workspace, large)
    make_part(workspace, large, body[:700_000])
    assert workspace.fetch("large")[0] == 0
    assert workspace.mirror.requests == [(workspace.url_path(large), "bytes=700000-")]
    assert workspace.read("out/usr/share/big") == NOISE


def test_complete_part_needs_no_request(workspace, large):
    make_part(workspace, large, body_of(workspace, large))
    assert workspace.fetch("large")[0] == 0
    assert workspace.mirror.requests == []


def test_mirror_that_ignores_range(workspace, large):
    make_part(workspace, large, body_of(workspace, large)[:700_000])
    workspace.mirror.ignore_range = True
    assert workspace.fetch("large")[0] == 0
    assert workspace.read("out/usr/share/big") == NOISE


@pytest.mark.parametrize("content", [b"x" * 1000, b"y" * 3_000_000], ids=["shorter", "longer"])
def test_wrong_part_is_dropped(workspace, large, content):
    make_part(workspace, large, content)
    assert workspace.fetch("large")[0] == 0
    assert workspace.read("out/usr/share/big") == NOISE
    assert workspace.mirror.requests[-1][1] is None  # from the start in the end


def test_cut_connections_are_resumed(workspace, large):
    path = workspace.url_path(large)
    workspace.mirror.cut[path] = [300_000, 0, 200_000]
    assert workspace.fetch("large")[0] == 0
    assert workspace.read("out/usr/share/big") == NOISE
    assert [r for _, r in workspace.mirror.requests] == [
        None,
        "bytes=300000-",
        "bytes=300000-",
        "bytes=500000-",
    ]


def test_server_errors_are_retried(workspace, large):
    workspace.mirror.status[workspace.url_path(large)] = [503, 500]
    assert workspace.fetch("large")[0] == 0


def test_lasting_server_error(workspace, large):
    workspace.mirror.status[workspace.url_path(large)] = [503] * 99
    code, _, err = workspace.fetch("large")
    line = one_line(err)
    assert code == 1
    assert "HTTP 503" in line and "big%2B1.deb" in line and "INFENG_DEB_MIRROR" in line


def test_wrong_content_is_refused(workspace, large):
    path = workspace.url_path(large)
    body = bytearray(body_of(workspace, large))
    body[500_000] ^= 1
    workspace.mirror.files[path] = bytes(body)
    code, _, err = workspace.fetch("large")
    assert code == 1
    assert "sha256" in one_line(err) and "big%2B1.deb" in err
    assert os.listdir(os.path.join(workspace.cache, "infeng/sets")) == [
        n for n in os.listdir(os.path.join(workspace.cache, "infeng/sets")) if n.endswith(".lock")
    ]
    assert not os.path.exists(workspace.archive(large))
    workspace.mirror.files[path] = (
        bytes(body[:500_000]) + bytes([body[500_000] ^ 1]) + bytes(body[500_001:])
    )
    assert workspace.fetch("large")[0] == 0


def test_damaged_archive_in_cache_is_healed(workspace, large):
    assert workspace.fetch("large")[0] == 0
    archive = workspace.archive(large)
    os.chmod(archive, 0o644)
    with open(archive, "r+b") as f:
        f.seek(1000)
        f.write(b"damage")
    for name in os.listdir(os.path.join(workspace.cache, "infeng/sets")):
        if not name.endswith(".lock"):  # the set must be unpacked again, from the archive
            os.unlink(os.path.join(workspace.cache, "infeng/sets", name, ".complete"))
    code, _, err = workspace.fetch("large", "again")
    assert code == 0
    assert "made anew" in err and "Traceback" not in err
    assert workspace.read("again/usr/share/big") == NOISE
    assert len(workspace.mirror.requests) == 2


def test_write_through_a_link_is_healed(workspace, large):
    assert workspace.fetch("large")[0] == 0
    path = os.path.join(workspace.root, "out/usr/share/big")
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:  # same size, other content: also in the cache
        f.write(b"damage")
    assert workspace.fetch("large", "again")[0] == 0
    assert workspace.read("again/usr/share/big") == NOISE


def test_unreachable_mirror(workspace, large):
    code, _, err = workspace.fetch("large", INFENG_DEB_MIRROR="http://127.0.0.1:1")
    line = one_line(err)
    assert code == 1
    assert "INFENG_DEB_MIRROR" in line and "refused" in line


def test_name_that_does_not_resolve(workspace, large):
    code, _, err = workspace.fetch("large", INFENG_DEB_MIRROR="http://mirror.invalid/debian")
    assert code == 1
    assert "INFENG_DEB_MIRROR" in one_line(err)


@pytest.mark.parametrize("value", ["mirror.example/debian", "ftp://mirror/debian"])
def test_mirror_that_is_no_address(workspace, large, value):
    code, _, err = workspace.fetch("large", INFENG_DEB_MIRROR=value)
    assert code == 1
    assert "INFENG_DEB_MIRROR must be" in one_line(err)


def test_gone_version_without_apt(workspace, large):
    del workspace.mirror.files[workspace.url_path(large)]
    code, _, err = workspace.fetch("large")
    lines = err.splitlines()
    assert code == 1
    assert "WARNING" in lines[0] and "tools/bootstrap/lock.py large" in lines[0]
    assert len(lines) == 2 and "debian-archive-keyring" in lines[1] or "apt-get" in lines[1]


def test_slow_server_shows_progress(workspace, large):
    workspace.replace("progress.py", "LOG_PERIOD = 10.0", "LOG_PERIOD = 0.3")
    workspace.mirror.block_pause = 0.1
    code, _, err = workspace.fetch("large")
    assert code == 0
    lines = [line for line in err.splitlines() if line.startswith("Fetching large: ")]
    assert len(lines) >= 3
    assert " of 1 MB (" in lines[0] and "1.1 MB in " in lines[-1]


def test_server_that_stops_sending(workspace, large):
    workspace.replace("download.py", "TIMEOUT = 30", "TIMEOUT = 0.3")
    workspace.mirror.stall_after = 200_000
    code, _, err = workspace.fetch("large")  # each attempt brings some, so it goes on
    assert code == 0
    assert len(workspace.mirror.requests) == 6
    assert workspace.read("out/usr/share/big") == NOISE


def test_two_at_once_share_the_work(workspace, large):
    workspace.mirror.block_pause = 0.05
    commands = [workspace.fetch_command("large", os.path.join(workspace.root, d)) for d in "ab"]
    processes = [workspace.start(c) for c in commands]
    errors = [p.communicate(timeout=60)[1] for p in processes]
    assert [p.returncode for p in processes] == [0, 0]
    assert len(workspace.mirror.requests) == 1
    assert (
        sum("Waiting for another process that is installing set 'large'" in e for e in errors) == 1
    )
    assert workspace.read("a/usr/share/big") == workspace.read("b/usr/share/big") == NOISE


def test_two_sets_at_once_share_an_archive(workspace, large):
    body = body_of(workspace, large)
    workspace.add_set("other", {"big": body})
    workspace.mirror.block_pause = 0.05
    processes = [
        workspace.start(workspace.fetch_command(s, os.path.join(workspace.root, s)))
        for s in ("large", "other")
    ]
    for p in processes:
        p.communicate(timeout=60)
    assert [p.returncode for p in processes] == [0, 0]
    assert len(workspace.mirror.requests) == 1


def test_killed_run_leaves_nothing_in_the_way(workspace, large):
    workspace.mirror.block_pause = 0.1
    process = workspace.start(workspace.fetch_command("large", os.path.join(workspace.root, "out")))
    wait_for(
        lambda: (
            os.path.exists(workspace.archive(large) + ".part")
            and os.path.getsize(workspace.archive(large) + ".part") > 200_000
        )
    )
    process.kill()
    process.communicate()
    workspace.mirror.block_pause = 0
    assert workspace.fetch("large")[0] == 0
    assert workspace.mirror.requests[-1][1] is not None  # resumed
    assert workspace.read("out/usr/share/big") == NOISE


def test_interrupt(workspace, large):
    workspace.mirror.block_pause = 0.1
    process = workspace.start(workspace.fetch_command("large", os.path.join(workspace.root, "out")))
    wait_for(lambda: os.path.exists(workspace.archive(large) + ".part"))
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in one_line(err)
    assert time.monotonic() - start < 5
    assert [
        n
        for n in os.listdir(os.path.join(workspace.cache, "infeng/sets"))
        if not n.endswith(".lock")
    ] == []
    assert not os.path.exists(os.path.join(workspace.root, "out"))


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_full_disk_while_downloading(workspace, large):
    os.makedirs(os.path.join(workspace.cache, "infeng/archives"))
    os.symlink("/dev/full", workspace.archive(large) + ".part")
    code, _, err = workspace.fetch("large")
    line = one_line(err)
    assert code == 1
    assert "no space left" in line and workspace.cache in line and "XDG_CACHE_HOME" in line


def test_full_disk_while_unpacking(workspace, large):
    # The kernel's own error, at the first file that is unpacked.
    script = (
        "import builtins, sys; sys.path.insert(0, sys.argv[1])\n"
        "import deb, errors, fetch\n"
        "def full(path, mode='r', *args, **options):\n"
        "    return open('/dev/full' if mode == 'xb' else path, mode.replace('x', 'w'),"
        " *args, **options)\n"
        "deb.open = full\n"
        "sys.exit(errors.run('fetch.py', fetch.main, sys.argv[2:]))"
    )
    code, _, err = workspace.run(
        [sys.executable, "-c", script, workspace.code, "large", os.path.join(workspace.root, "out")]
    )
    assert code == 1
    assert "no space left" in err and workspace.cache in err and "Traceback" not in err
    assert [
        n
        for n in os.listdir(os.path.join(workspace.cache, "infeng/sets"))
        if not n.endswith(".lock")
    ] == []
    assert workspace.fetch("large")[0] == 0


def test_need_is_checked_before(workspace, large):
    entry = dict(large, unpacked=10**15)
    workspace._lock["large"] = [entry]
    workspace.save()
    code, _, err = workspace.fetch("large")
    line = one_line(err)
    assert code == 1
    assert "set 'large' needs 1000000.0 GB in " + workspace.cache in line
    assert workspace.mirror.requests == []


def test_usage(workspace):
    code, _, err = workspace.run([sys.executable, os.path.join(workspace.code, "fetch.py")])
    assert code == 2
    assert "usage" in one_line(err)


def test_unknown_set(workspace, large):
    code, _, err = workspace.fetch("nonesuch")
    assert code == 1
    assert "'nonesuch'" in one_line(err) and "large" in err


def test_damaged_lock(workspace, large):
    workspace.write("tools/bootstrap/debs.lock.json", '{"large": [')
    code, _, err = workspace.fetch("large")
    assert code == 1
    assert "debs.lock.json" in one_line(err)


def test_source_set(workspace):
    workspace.add_set(
        "src",
        {
            "lib": tar(
                {
                    "lib-1.0": None,
                    "lib-1.0/src/a.c": b"int a;",
                    "lib-1.0/BUILD": b"x",
                },
                "gz",
            )
        },
        source=True,
        skip="BUILD$",
    )
    assert workspace.fetch("src")[0] == 0
    assert workspace.read("out/src/a.c") == b"int a;"
    assert sorted(os.listdir(os.path.join(workspace.root, "out"))) == ["src"]


def test_no_bytecode_in_the_checkout(workspace, large):
    workspace.fetch("large")
    assert not os.path.exists(os.path.join(workspace.code, "__pycache__"))
