"""The module registry that is made for a workspace."""

import json
import os

import pytest
import registry


@pytest.fixture
def bazel(folder):
    """write(path, text) below the tree of an installation, at `write.root`."""
    root = os.path.join(folder, "bazel")

    def write(name, text=""):
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    write.root = root
    write("usr/share/cargo/registry/tinyjson-2.5.1/src/lib.rs")
    write(
        "usr/share/bazel/embedded_tools/MODULE.bazel",
        'module(name = "bazel_tools")\nbazel_dep(name = "rules_cc", version = "0.0.9")\n',
    )
    write("usr/share/bazel/tools/platforms/MODULE.bazel", 'module(name = "platforms")\n')
    write(
        "usr/share/bazel/rules/cc/MODULE.bazel",
        """\
module(
    name = "rules_cc",
    version = "0.0.11",  # a comment
    compatibility_level = 1,
)
# bazel_dep(name = "bazel_skylib", version = "9.9")
bazel_dep(name = "platforms", version = "0.0.7")
bazel_dep(
    name = "protobuf",
    version = "21.7",
    repo_name = "com_google_protobuf",
)
""",
    )
    return write


@pytest.fixture
def generated(folder, bazel):
    """generated({file: text}) -> path of the registry for that workspace."""

    def generate(files):
        workspace = os.path.join(folder, "workspace")
        for name, text in files.items():
            path = os.path.join(workspace, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(text)
        out = os.path.join(folder, "registry")
        os.makedirs(out)
        registry.generate(bazel.root, out, out, workspace)
        return out

    return generate


def module(root, name, version):
    entry = os.path.join(root, "modules", name, version)
    with open(os.path.join(entry, "MODULE.bazel")) as f:
        text = f.read()
    with open(os.path.join(entry, "source.json")) as f:
        return text, json.load(f)


def test_requested_versions_are_answered(generated, bazel):
    root = generated({"MODULE.bazel": 'bazel_dep(name = "rules_cc", version = "0.1.2")\n'})
    assert sorted(os.listdir(root + "/modules/rules_cc")) == ["0.0.9", "0.1.2"]
    text, source = module(root, "rules_cc", "0.1.2")
    assert 'version = "0.1.2"' in text and "0.0.11" not in text
    assert "compatibility_level = 1" in text
    assert source == {"type": "local_path", "path": bazel.root + "/usr/share/bazel/rules/cc"}


def test_requests_of_modules_are_followed(generated):
    root = generated({"MODULE.bazel": ""})
    assert os.listdir(root + "/modules/platforms") == ["0.0.7"]
    text, source = module(root, "protobuf", "21.7")
    assert text == 'module(name = "protobuf", version = "21.7")\n'
    assert os.path.exists(os.path.join(source["path"], "BUILD.bazel"))
    assert not os.path.exists(root + "/modules/bazel_skylib")  # only in a comment


def test_included_segments(generated):
    root = generated(
        {
            "MODULE.bazel": 'include("//third_party:a.MODULE.bazel")\n'
            '# include("//:no.MODULE.bazel")\n',
            "third_party/a.MODULE.bazel": 'include("//:b.MODULE.bazel")\n'
            'include("//third_party:a.MODULE.bazel")\n',
            "b.MODULE.bazel": 'bazel_dep(name = "rules_cc", version = "7")\n',
            "no.MODULE.bazel": 'bazel_dep(name = "rules_cc", version = "8")\n',
        }
    )
    assert sorted(os.listdir(root + "/modules/rules_cc")) == ["0.0.9", "7"]


def test_segments_are_inputs(folder):
    for name, text in {
        "MODULE.bazel": 'include(\n    "//x/y:z.MODULE.bazel",\n)\n',
        "x/y/z.MODULE.bazel": "",
    }.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
    assert registry.module_files(folder) == [
        folder + "/MODULE.bazel",
        folder + "/x/y/z.MODULE.bazel",
    ]


def test_unknown_module_is_left_to_bazel(generated):
    root = generated({"MODULE.bazel": 'bazel_dep(name = "nonesuch", version = "1")\n'})
    assert not os.path.exists(root + "/modules/nonesuch")


def test_options(generated):
    root = generated({"MODULE.bazel": ""})
    with open(root + "/offline.bazelrc") as f:
        lines = f.read().splitlines()
    assert f"common --registry=file://{root}" in lines
    assert "common --lockfile_mode=off" in lines
    (override,) = [line for line in lines if "tinyjson" in line]
    path = override.rpartition("=")[2]
    assert os.path.exists(os.path.join(path, "src/lib.rs"))
