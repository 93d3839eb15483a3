"""Unpacking: what goes where, and what is refused."""

import os
import re

import deb
import errors
import pytest
from support import deb as make_deb
from support import tar


@pytest.fixture
def unpack(folder):
    """unpack(archive, ...) -> the root they were unpacked into, in this order."""
    root = os.path.join(folder, "root")
    os.makedirs(root)

    def run(*archives, skip=None, ranks=None, source=False):
        tree = deb.Tree(root, re.compile(skip) if skip else None)
        for rank, body in zip(ranks or range(len(archives)), archives):
            path = os.path.join(folder, f"archive{rank}")
            with open(path, "wb") as f:
                f.write(body)
            (tree.add_source if source else tree.add_package)(rank, path)
        tree.finish()
        return root

    return run


def read(root, name):
    with open(os.path.join(root, name), "rb") as f:
        return f.read()


def test_merged_usr(unpack):
    root = unpack(
        make_deb(
            {
                "./lib/x/a": b"1",
                "./lib64": "lib/x",
                "./usr/lib/x/b": b"2",
                "./sbin/s": b"3",
                "./library/c": b"4",
            }
        )
    )
    assert read(root, "usr/lib/x/a") == b"1"
    assert read(root, "usr/lib/x/b") == b"2"
    assert read(root, "usr/sbin/s") == b"3"
    assert read(root, "library/c") == b"4"


def test_absolute_links_become_relative(unpack):
    root = unpack(
        make_deb(
            {
                "./etc/java/conf": b"c",
                "./usr/lib/jvm/conf": "/etc/java/conf",
                "./usr/bin/l": "/lib/t",
                "./usr/lib/t": b"t",
            }
        )
    )
    assert os.readlink(os.path.join(root, "usr/lib/jvm/conf")) == "../../../etc/java/conf"
    assert read(root, "usr/lib/jvm/conf") == b"c"
    assert read(root, "usr/bin/l") == b"t"


def test_links_to_nothing_are_removed(unpack):
    root = unpack(make_deb({"./usr/a": "b", "./usr/b": "/nowhere", "./usr/c": b""}))
    assert os.listdir(os.path.join(root, "usr")) == ["c"]


def test_modes(unpack):
    root = unpack(make_deb({"./a": (b"", 0o4755), "./b": (b"", 0o600)}))
    assert os.stat(os.path.join(root, "a")).st_mode & 0o7777 == 0o555
    assert os.stat(os.path.join(root, "b")).st_mode & 0o7777 == 0o444


def test_skip(unpack):
    root = unpack(make_deb({"./usr/share/x": b"", "./usr/bin/x": b""}), skip="usr/share/")
    assert os.listdir(os.path.join(root, "usr")) == ["bin"]


@pytest.mark.parametrize("ranks", [(0, 1), (1, 0)])
def test_same_path_twice_does_not_depend_on_order(unpack, ranks):
    bodies = [make_deb({"./lib/a": b"first"}), make_deb({"./usr/lib/a": b"second"})]
    root = unpack(*(bodies[r] for r in ranks), ranks=ranks)
    assert read(root, "usr/lib/a") == b"first"


@pytest.mark.parametrize("name", ["../evil", "./usr/../../evil", "a/../../evil"])
def test_path_that_leaves_the_root(unpack, name):
    with pytest.raises(errors.BootstrapError, match="leaves its root"):
        unpack(make_deb({name: b"x"}))


def test_absolute_path_is_below_the_root(unpack):
    assert read(unpack(make_deb({"/abs/evil": b"x"})), "abs/evil") == b"x"


def test_source_loses_its_top_folder(unpack):
    root = unpack(tar({"top": None, "top/a/b": b"1", "top/c": "a/b"}, "gz"), source=True)
    assert sorted(os.listdir(root)) == ["a", "c"]
    assert read(root, "c") == b"1"


@pytest.mark.parametrize("compression", ["xz", "gz", ""])
def test_compressions(unpack, compression):
    assert read(unpack(make_deb({"./a": b"1"}, compression)), "a") == b"1"


def test_zstd_is_named(unpack):
    body = make_deb({"./a": b"1"}).replace(b"data.tar.xz ", b"data.tar.zst")
    with pytest.raises(errors.BootstrapError, match="zstd"):
        unpack(body)


@pytest.mark.parametrize("size", [0, 4, 8, 30, 68, 100, 150, 400, -100])
def test_truncated(unpack, size):
    body = make_deb({"./a": os.urandom(5000)})
    with pytest.raises(errors.BootstrapError):
        unpack(body[:size])


def test_damaged_header(unpack):
    body = bytearray(make_deb({"./a": b"1"}))
    body[8 + 48 : 8 + 58] = b"notanumber"
    with pytest.raises(errors.BootstrapError):
        unpack(bytes(body))
