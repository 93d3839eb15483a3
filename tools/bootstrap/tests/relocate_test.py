"""What is rewritten in Bazel's tree besides its programs."""

import os
import zipfile

import errors
import pytest
import relocate

LISTING = "usr/share/bazel/bazel_classpath_debian_depends.txt"


@pytest.fixture
def tree(folder):
    """write(path, content) below a root; for a jar, content is its manifest."""

    def write(name, content):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if name.endswith(".jar"):
            with zipfile.ZipFile(path, "w") as jar:
                jar.writestr("META-INF/MANIFEST.MF", content)
        else:
            with open(path, "w") as f:
                f.write(content)

    write.root = folder
    os.makedirs(folder + "/usr/libexec/x86_64-linux-gnu/bazel")
    os.makedirs(folder + "/usr/lib/jvm/java-25-openjdk-amd64/bin")
    write("usr/lib/jvm/java-25-openjdk-amd64/lib/jspawnhelper", "#!/bin/sh\n")
    write("usr/bin/bazel", "#!/bin/sh\n")
    write("usr/share/bazel/build-label.txt", "7.7.1\n")
    write(LISTING, "")
    return write


def class_path(tree):
    with open(os.path.join(tree.root, LISTING)) as f:
        return f.read().splitlines()


def test_class_path_follows_manifests(tree):
    tree(
        "usr/share/java/a.jar",
        "Class-Path: b.jar ../java/c.jar\r\n  file:///usr/share/java/d.jar\r\n",
    )
    tree(
        "usr/share/java/b.jar", "Manifest-Version: 1.0\nClass-Path: /usr/share/java/a.jar no.jar\n"
    )
    tree("usr/share/java/c.jar", "")
    tree("usr/share/java/d.jar", "Class-Path: very-long-na\n me.jar\n")
    tree("usr/share/java/very-long-name.jar", "")
    tree(LISTING, "/usr/share/java/a.jar /usr/share/java/missing.jar\n")
    relocate.relocate(tree.root, "/final")
    names = ["a", "b", "c", "d", "very-long-name"]
    assert class_path(tree) == ["/final/usr/share/bazel/version.jar"] + [
        f"/final/usr/share/java/{name}.jar" for name in names
    ]


def test_jar_that_is_none(tree):
    with open(tree.root + "/usr/share/x.jar", "w") as f:
        f.write("not a zip")
    tree(LISTING, "/usr/share/x.jar")
    relocate.relocate(tree.root, "/final")
    assert class_path(tree)[1:] == ["/final/usr/share/x.jar"]


def test_bazel_knows_its_version(tree):
    relocate.relocate(tree.root, "/final")
    with zipfile.ZipFile(tree.root + "/usr/share/bazel/version.jar") as jar:
        assert jar.read("build-data.properties") == b"build.label=7.7.1\n"


def test_program_that_cannot_be_patched(tree):
    # The programs that would run patchelf are missing from this tree.
    with open(tree.root + "/usr/bin/bazel", "wb") as f:
        f.write(b"\x7fELF")
    with pytest.raises((OSError, errors.BootstrapError)):
        relocate.relocate(tree.root, "/final")


def test_two_java_runtimes(tree):
    os.makedirs(tree.root + "/usr/lib/jvm/java-26-openjdk-amd64")
    with pytest.raises(errors.BootstrapError, match="java-26"):
        relocate.jre(tree.root)


def test_link_to_the_java_runtime_is_not_another(tree):
    os.symlink("java-25-openjdk-amd64", tree.root + "/usr/lib/jvm/java-1.25.0-openjdk-amd64")
    assert relocate.jre(tree.root) == "usr/lib/jvm/java-25-openjdk-amd64"
