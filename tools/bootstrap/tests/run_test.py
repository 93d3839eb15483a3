"""tools/bazel: what it runs, and how it fails."""

import os
import signal
import stat

import pytest
from support import bazel_package, deb, one_line


@pytest.fixture
def bazel(workspace):
    """A workspace whose Bazel prints its arguments; the lock entry is `.entry`."""
    workspace.entry = workspace.add_set("bazel", {"bazel-bootstrap": bazel_package()})[0]
    return workspace


def installation(workspace):
    folder = os.path.join(workspace.cache, "infeng/bazel")
    (name,) = [n for n in os.listdir(folder) if not n.endswith(".lock")]
    return os.path.join(folder, name)


def test_installs_and_runs(bazel):
    code, out, err = bazel.bazel("build", "//a:b c", "--x=y")
    root = installation(bazel)
    assert code == 0
    assert [line.partition(":")[0] for line in err.splitlines()] == [
        "Fetching bazel",
        "Unpacking bazel",
    ]
    args = out.splitlines()
    assert args[-3:] == ["build", "//a:b c", "--x=y"]
    assert f"--install_base={root}/usr/share/bazel" in args
    assert f"--server_javabase={root}/usr/lib/jvm/java-99-openjdk-amd64" in args
    assert f"--output_user_root={bazel.cache}/infeng/output" in args
    with open(f"{root}/usr/share/bazel/bazel_classpath_debian_depends.txt") as f:
        assert f.read().split() == [
            f"{root}/usr/share/bazel/version.jar",
            f"{root}/usr/share/bazel/A-server.jar",
        ]
    assert bazel.bazel("version")[2] == ""  # and at once the second time
    assert len(bazel.mirror.requests) == 1


def test_exit_code_is_bazels(bazel):
    bazel.add_set("bazel", {"bazel-bootstrap": bazel_package()})
    assert bazel.bazel("x")[0] == 0
    client = os.path.join(installation(bazel), "usr/bin/bazel")
    times = os.stat(client)
    os.chmod(client, 0o755)
    with open(client, "r+b") as f:  # same length, same time: not seen as damage
        f.write(b"#!/bin/sh\nexit 37\n#")
    os.utime(client, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert bazel.bazel("x")[0] == 37


@pytest.mark.parametrize(
    "args", [["--output_user_root=/x"], ["--output_base=/x"], ["--output_base", "/x"]]
)
def test_own_output_root_on_the_command_line(bazel, args):
    out = bazel.bazel(*args, "build")[1]
    assert f"--output_user_root={bazel.cache}" not in out


def test_output_root_after_the_command_is_not_ours_to_see(bazel):
    out = bazel.bazel("run", "//x", "--", "--output_base=/x")[1]
    assert f"--output_user_root={bazel.cache}" in out


def test_own_output_root_in_an_imported_bazelrc(bazel):
    bazel.write(".bazelrc", "try-import %workspace%/user.bazelrc\n")
    assert f"--output_user_root={bazel.cache}" in bazel.bazel("build")[1]
    bazel.write("user.bazelrc", "# mine\nstartup --output_user_root=/x\n")
    assert "--output_user_root" not in bazel.bazel("build")[1]


def test_bazel_real_is_honoured(bazel):
    other = os.path.join(bazel.root, "other bazel")
    with open(other, "w") as f:
        f.write('#!/bin/sh\necho "other:$*"\nexit 3\n')
    os.chmod(other, 0o755)
    assert bazel.bazel("build", "//x", BAZEL_REAL=other) == (3, "other:build //x\n", "")
    assert not os.path.exists(bazel.cache)


def test_from_a_package_and_by_a_link(bazel):
    sub = os.path.join(bazel.checkout, "some/package")
    os.makedirs(sub)
    assert bazel.bazel("version", cwd=sub)[0] == 0
    link = os.path.join(bazel.root, "bin/infeng-bazel")
    os.symlink(bazel.launcher, link)
    code, out, _ = bazel.run([link, "version"])
    assert code == 0
    assert out.endswith("version\n")


def test_from_outside_of_any_workspace(bazel):
    bazel.add_set("bazel", {"bazel-bootstrap": bazel_package(client=b"#!/bin/sh\npwd\n")})
    _, out, _ = bazel.bazel("version", cwd=bazel.root)
    assert out == bazel.checkout + "\n"
    other = os.path.join(bazel.root, "other/sub")
    os.makedirs(other)
    with open(os.path.join(bazel.root, "other/REPO.bazel"), "w"):
        pass
    assert bazel.bazel("version", cwd=other)[1] == other + "\n"


def test_checkout_with_spaces(bazel):
    moved = os.path.join(bazel.root, "check out")
    os.rename(bazel.checkout, moved)
    code, out, err = bazel.run([os.path.join(moved, "tools/bazel"), "version"], cwd=moved)
    assert code == 0, err
    assert out.endswith("version\n")


@pytest.mark.parametrize("name", ["ca che", "ca:che", "ca$che", "ca\nche"])
def test_cache_whose_name_cannot_serve(bazel, name):
    code, _, err = bazel.bazel("version", XDG_CACHE_HOME=os.path.join(bazel.root, name))
    assert code == 1
    assert "XDG_CACHE_HOME" in err and "Traceback" not in err
    assert not os.path.exists(os.path.join(bazel.root, name))


def test_damaged_installation_is_healed(bazel):
    assert bazel.bazel("version")[0] == 0
    jar = os.path.join(installation(bazel), "usr/share/bazel/A-server.jar")
    os.chmod(jar, 0o644)
    with open(jar, "w") as f:
        f.write("")
    code, out, err = bazel.bazel("version")
    assert code == 0 and out.endswith("version\n")
    assert "made anew" in err.splitlines()[0] and "Fetching" not in err
    with open(jar) as f:
        assert f.read() == "jar"
    assert len(bazel.mirror.requests) == 1  # from the archives in the cache


def test_lost_file_and_stamp_are_healed(bazel):
    assert bazel.bazel("version")[0] == 0
    root = installation(bazel)
    os.unlink(os.path.join(root, "usr/bin/bazel"))
    assert bazel.bazel("version")[0] == 0
    with open(os.path.join(root, ".complete"), "w") as f:
        f.write('{"root": ')
    assert bazel.bazel("version")[0] == 0
    assert os.path.exists(os.path.join(root, "usr/bin/bazel"))


def test_moved_cache_is_made_anew(bazel):
    assert bazel.bazel("version")[0] == 0
    moved = os.path.join(bazel.root, "moved")
    os.rename(bazel.cache, moved)
    bazel.cache = moved
    code, out, _ = bazel.bazel("version", XDG_CACHE_HOME=moved)
    assert code == 0
    assert f"--install_base={installation(bazel)}/usr/share/bazel" in out
    assert os.path.join(bazel.root, "cache") not in out


def test_new_lock_leaves_the_old_installation(bazel):
    assert bazel.bazel("version")[0] == 0
    old = installation(bazel)
    bazel.add_set("bazel", {"bazel-bootstrap": bazel_package("B-server.jar")})
    code, out, _ = bazel.bazel("version")
    assert code == 0
    assert old not in out
    assert os.path.exists(os.path.join(old, "usr/bin/bazel"))


def test_no_mirror_known(bazel):
    bazel.replace("mirror.py", 'APT = "/etc/apt"', f'APT = "{bazel.root}/no-apt"')
    code, _, err = bazel.bazel("version", INFENG_DEB_MIRROR=None)
    assert code == 1
    assert "set INFENG_DEB_MIRROR" in one_line(err)


def test_mirror_of_the_host(bazel):
    bazel.replace("mirror.py", 'APT = "/etc/apt"', f'APT = "{bazel.root}/apt"')
    os.makedirs(os.path.join(bazel.root, "apt/sources.list.d"))
    with open(os.path.join(bazel.root, "apt/sources.list.d/debian.sources"), "w") as f:
        f.write(f"Types: deb\nURIs: {bazel.mirror.url}\nSuites: bookworm\nComponents: main\n")
    assert bazel.bazel("version", INFENG_DEB_MIRROR=None)[0] == 0


@pytest.mark.parametrize("host", [("Linux", "aarch64"), ("Darwin", "x86_64")])
def test_wrong_host(bazel, host):
    system, machine = host
    bazel.replace(
        "run.py",
        "system = os.uname()",
        f"system = os.uname_result(({system!r}, 'h', '1', '1', {machine!r}))",
    )
    bazel.replace(
        "run.py", "import os  # noqa", "import os; os.uname_result = type(os.uname())  # noqa"
    )
    code, _, err = bazel.bazel("version")
    line = one_line(err)
    assert code == 1
    assert f"{system} on {machine}" in line and "BAZEL_REAL" in line


def test_cache_under_the_temporary_folder(bazel):
    code, _, err = bazel.bazel("version", XDG_CACHE_HOME="/tmp/c")
    assert code == 1
    assert "/tmp/c/infeng" in one_line(err) and "XDG_CACHE_HOME" in err
    assert not os.path.exists("/tmp/c")


def test_cache_that_leads_to_the_temporary_folder(bazel):
    os.symlink("/tmp", os.path.join(bazel.root, "link"))
    code, _, err = bazel.bazel("version", XDG_CACHE_HOME=os.path.join(bazel.root, "link"))
    assert code == 1
    assert "is under /tmp" in one_line(err)


def test_relative_cache(bazel):
    code, _, err = bazel.bazel("version", XDG_CACHE_HOME="cache")
    assert code == 1
    assert "absolute" in one_line(err)


def test_default_cache(bazel):
    assert bazel.bazel("version", XDG_CACHE_HOME=None)[0] == 0
    assert os.path.isdir(os.path.join(bazel.root, ".cache/infeng/bazel"))


def test_cache_that_is_a_file(bazel):
    with open(bazel.cache, "w"):
        pass
    code, _, err = bazel.bazel("version")
    assert code == 1
    assert bazel.cache in one_line(err) and "XDG_CACHE_HOME" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_cache(bazel):
    os.makedirs(bazel.cache)
    os.chmod(bazel.cache, 0o555)
    code, _, err = bazel.bazel("version")
    assert code == 1
    assert bazel.cache in one_line(err) and "XDG_CACHE_HOME" in err


def test_cache_on_a_read_only_file_system(bazel):
    code, _, err = bazel.bazel("version", XDG_CACHE_HOME="/proc/self")
    assert code == 1
    assert "/proc" in one_line(err) and "XDG_CACHE_HOME" in err


def test_no_python(bazel):
    os.unlink(os.path.join(bazel.root, "bin/python3"))
    code, _, err = bazel.bazel("version")
    assert code == 1
    assert "python3" in one_line(err)


def test_old_python(bazel):
    bazel.replace("run.py", "import sys\n\nif", "import sys\nsys.version_info = (3, 8, 1)\nif")
    code, _, err = bazel.bazel("version")
    assert code == 1
    assert "3.9" in one_line(err) and "3.8" in err


def test_package_that_is_none(bazel):
    bazel.add_set("bazel", {"bazel-bootstrap": b"not a package at all"})
    code, _, err = bazel.bazel("version")
    assert code == 1
    assert "is not a Debian package" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_truncated_package(bazel):
    bazel.add_set("bazel", {"bazel-bootstrap": deb({"./x": os.urandom(9999)})[:-2000]})
    code, _, err = bazel.bazel("version")
    assert code == 1
    assert "cannot unpack" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_set_without_java(bazel):
    bazel.add_set("bazel", {"bazel-bootstrap": deb({"./usr/bin/bazel": b"x"})})
    code, _, err = bazel.bazel("version")
    assert code == 1
    assert "Traceback" not in err


def test_two_at_once(bazel):
    bazel.mirror.block_pause = 0.5
    processes = [bazel.start([bazel.launcher, "version"]) for _ in range(3)]
    results = [p.communicate(timeout=60) for p in processes]
    assert [p.returncode for p in processes] == [0, 0, 0]
    assert len({out for out, _ in results}) == 1
    assert len(bazel.mirror.requests) == 1
    assert any("Waiting for another process that is installing Bazel" in err for _, err in results)


def test_interrupt(bazel):
    bazel.mirror.block_pause = 2
    process = bazel.start([bazel.launcher, "version"])
    while not bazel.mirror.requests:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in one_line(err)
    bazel.mirror.block_pause = 0
    assert bazel.bazel("version")[0] == 0


def test_launcher_is_executable(bazel):
    assert os.stat(bazel.launcher).st_mode & stat.S_IXUSR
