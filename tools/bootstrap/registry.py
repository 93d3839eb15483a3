"""A module registry on this disk, made of the rule sets that Debian packages.

Every (module, version) that the workspace or another module asks for is answered
with the one copy Debian has, its version() rewritten to the one requested. So the
versions in MODULE.bazel are those of the public registry, and with an ordinary
Bazel the same file resolves there instead.
"""

import glob
import json
import os
import re

from relocate import SHARE

# module name -> its folder in the 'bazel' set, below SHARE
_PACKAGED = {
    "bazel_features": "tools/features",
    "bazel_lib": "tools/bazel_lib",
    "bazel_skylib": "tools/skylib",
    "platforms": "tools/platforms",
    "rules_cc": "rules/cc",
    "rules_java": "rules/java",
    "rules_license": "rules/license",
    "rules_proto": "rules/proto",
    "rules_python": "rules/python",
    "rules_rust": "rules/rust",
    "rules_shell": "rules/shell",
}
# Modules that packaged rules name but nothing here builds with. They must exist
# for resolution; a build that really needs one fails on the missing label.
_STUBS = ("apple_support", "aspect_rules_js", "buildozer", "protobuf", "zlib")
# Asked for by Bazel's own local_config_platform.
_BUILT_IN = [("platforms", "0.0.7")]


def module_files(workspace):
    """Paths of the workspace's MODULE.bazel and of all that it includes."""
    found = []
    todo = [os.path.join(workspace, "MODULE.bazel")]
    while todo:
        path = todo.pop(0)
        if path in found:
            continue
        found.append(path)
        for args in _calls(_read(path), "include"):
            label = re.search(r'"(?:@@?)?//([^":]*):([^"]+)"', args)
            if label:
                todo.append(os.path.join(workspace, *label.groups()))
    return found


def generate(bazel, folder, final, workspace):
    """Fills `folder`, which will be moved to `final`, with what the Bazel installed at
    `bazel` needs to load `workspace`: a registry and, in offline.bazelrc, its options."""
    share = os.path.join(bazel, SHARE)
    tinyjson = _tinyjson(bazel, folder)
    _write(
        "common --registry=file://" + final + "\n"
        f"common --override_repository=rules_rust~~i~rules_rust_tinyjson={final}/{tinyjson}\n"
        # Its hashes would be of this registry, not of the public one.
        "common --lockfile_mode=off\n",
        folder,
        "offline.bazelrc",
    )
    _write("{}\n", folder, "bazel_registry.json")

    todo = list(_BUILT_IN)
    todo += _requests(_read(share, "embedded_tools/MODULE.bazel"))
    for path in module_files(workspace):
        todo += _requests(_read(path))
    done = set()
    while todo:
        name, version = todo.pop()
        if (name, version) in done:
            continue
        done.add((name, version))
        if name in _PACKAGED:
            path = os.path.join(share, _PACKAGED[name])
            text = _with_version(_read(path, "MODULE.bazel"), version)
            todo += _requests(text)
        elif name in _STUBS:
            path = os.path.join(final, "stubs", name)
            text = f'module(name = "{name}", version = "{version}")\n'
            _write("", folder, "stubs", name, "MODULE.bazel")
            # Queries over all that Bazel's own tools could use find a target to end at.
            _write(
                f'filegroup(name = "{name}", visibility = ["//visibility:public"])\n',
                folder,
                "stubs",
                name,
                "BUILD.bazel",
            )
        else:
            continue  # Bazel's own message names the module and who asked for it
        entry = ("modules", name, version)
        _write(text, folder, *entry, "MODULE.bazel")
        _write(json.dumps({"type": "local_path", "path": path}), folder, *entry, "source.json")


def _tinyjson(bazel, folder):
    """Writes the repository that rules_rust would download from the crates' registry;
    its process wrapper is built with it. Returns its name in `folder`."""
    (crate,) = glob.glob(os.path.join(glob.escape(bazel), "usr/share/cargo/registry/tinyjson-*"))
    _write("", folder, "tinyjson", "REPO.bazel")
    build = os.path.join(bazel, SHARE, "rules/rust/util/process_wrapper/BUILD.tinyjson.bazel")
    os.symlink(os.path.join(crate, "src"), os.path.join(folder, "tinyjson/src"))
    os.symlink(build, os.path.join(folder, "tinyjson/BUILD.bazel"))
    return "tinyjson"


def _calls(text, function):
    """Argument texts of the calls of `function` in a MODULE.bazel file."""
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    return re.findall(r"^%s\((.*?)\)" % function, text, re.M | re.S)


def _requests(text):
    for args in _calls(text, "bazel_dep"):
        name = re.search(r'\bname\s*=\s*"([^"]+)"', args)
        version = re.search(r'\bversion\s*=\s*"([^"]+)"', args)
        if name and version:
            yield name.group(1), version.group(1)


def _with_version(text, version):
    """The file with its module() call stating `version`."""

    def fix(m):
        args = re.sub(r'\bversion\s*=\s*"[^"]*",?[^\n]*', "", m.group(1))
        return f'module({args.rstrip().rstrip(",")}, version = "{version}")'

    return re.sub(r"^module\((.*?)\)", fix, text, count=1, flags=re.M | re.S)


def _read(*parts):
    try:
        with open(os.path.join(*parts), encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return ""  # Bazel's own message says what is missing


def _write(text, *parts):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
