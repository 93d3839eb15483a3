"""Makes an unpacked 'bazel' set runnable from where it will lie.

Debian's Bazel expects /usr: its programs name the system's dynamic loader, and
its server is started with a class path of /usr/share/java jars. Both are
rewritten, so the tree cannot be moved afterwards.
"""

import glob
import os
import subprocess
import zipfile

from errors import BootstrapError

SHARE = "usr/share/bazel"
_LIB = "usr/lib/x86_64-linux-gnu"
_LOADER = _LIB + "/ld-linux-x86-64.so.2"
_CLASS_PATH = SHARE + "/bazel_classpath_debian_depends.txt"
_VERSION_JAR = SHARE + "/version.jar"


def jre(root):
    """The Java runtime's folder, relative to root."""
    pattern = os.path.join(glob.escape(root), "usr/lib/jvm/java-*-openjdk-amd64")
    found = [os.path.relpath(p, root) for p in glob.glob(pattern) if not os.path.islink(p)]
    if len(found) != 1:
        raise BootstrapError(f"expected one Java runtime among Bazel's packages, found {found}")
    return found[0]


def relocate(root, final):
    """Rewrites the tree at `root` so that it runs when it is moved to `final`."""
    _patch_programs(root, final)
    _add_version(root)
    _patch_class_path(root, final)


def _programs(root):
    for folder in ("usr/libexec/x86_64-linux-gnu/bazel", jre(root) + "/bin"):
        for name in sorted(os.listdir(os.path.join(root, folder))):
            yield f"{folder}/{name}"
    yield jre(root) + "/lib/jspawnhelper"
    yield "usr/bin/bazel"


def _patch_programs(root, final):
    """Dynamic loader and library path under `final`. Wrapper scripts would not do: the
    JVM and Bazel's client find their own files through /proc/self/exe."""
    # patchelf itself is of the set, and runs only through the set's loader.
    patchelf = [
        os.path.join(root, _LOADER),
        "--library-path",
        os.path.join(root, _LIB),
        os.path.join(root, "usr/bin/patchelf"),
    ]
    libraries = (_LIB, jre(root) + "/lib", jre(root) + "/lib/server")
    for program in _programs(root):
        path = os.path.join(root, program)
        if os.path.islink(path) or not _is_elf(path):
            continue
        os.chmod(path, 0o755)
        # DT_RPATH, not RUNPATH: it also holds for the libraries' own dependencies.
        result = subprocess.run(
            [
                *patchelf,
                "--set-interpreter",
                os.path.join(final, _LOADER),
                "--force-rpath",
                "--set-rpath",
                ":".join(os.path.join(final, d) for d in libraries),
                path,
            ],
            text=True,
            stderr=subprocess.PIPE,
        )
        if result.returncode:
            raise BootstrapError(f"cannot relocate {path}: {result.stderr.strip()}")
        os.chmod(path, 0o555)


def _is_elf(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def _add_version(root):
    """Writes the resource by which Bazel knows its own version.

    Debian's build leaves it out, and then rules take Bazel for a development version."""
    with open(os.path.join(root, SHARE, "build-label.txt"), encoding="utf-8") as f:
        label = f.read().strip()
    with zipfile.ZipFile(os.path.join(root, _VERSION_JAR), "w") as jar:
        jar.writestr(zipfile.ZipInfo("build-data.properties"), f"build.label={label}\n")


def _patch_class_path(root, final):
    """The listed jars, then the jars that their manifests ask for, all under `final`.

    Manifests hold absolute paths too, which the JVM would look up on the host; with
    their targets listed, those entries do not matter."""
    listing = os.path.join(root, _CLASS_PATH)
    with open(listing, encoding="utf-8") as f:
        todo = ["/" + _VERSION_JAR, *f.read().split()]
    seen = []
    while todo:
        jar = todo.pop(0)
        path = os.path.join(root, jar.lstrip("/"))
        if jar in seen or not os.path.exists(path):
            continue  # some optional jars are not dependencies of the package
        seen.append(jar)
        todo += (
            os.path.normpath(os.path.join(os.path.dirname(jar), ref))
            for ref in _manifest_class_path(path)
        )
    os.unlink(listing)
    with open(listing, "w", encoding="utf-8") as f:
        f.writelines(os.path.join(final, jar.lstrip("/")) + "\n" for jar in seen)


def _manifest_class_path(jar):
    """The jars named by a jar's manifest, absolute or relative to it."""
    try:
        with zipfile.ZipFile(jar) as z:
            text = z.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
    except (KeyError, zipfile.BadZipFile):
        return []
    text = text.replace("\r\n", "\n").replace("\n ", "")  # unfold continuation lines
    for line in text.splitlines():
        if line.startswith("Class-Path:"):
            refs = line.partition(":")[2].split()
            return [
                "/" + r[len("file:") :].lstrip("/") if r.startswith("file:") else r for r in refs
            ]
    return []
