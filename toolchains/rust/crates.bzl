"""Crates of a Cargo.lock as Bazel targets: `@crates//:NAME` for each direct dependency.

cargo itself resolves and downloads (`cargo vendor --locked`), so checksums are those of
Cargo.lock and the host's own cargo configuration, mirrors included, applies. The targets are
made from `cargo metadata`, which has features, editions and the dependency graph resolved.
"""

_HEADER = """\
load("@rules_rust//cargo:defs.bzl", "cargo_build_script")
load("@rules_rust//rust:defs.bzl", "rust_library", "rust_proc_macro")

package(default_visibility = ["//:__subpackages__"])
"""

_CRATE = """
{rule}(
    name = "{name}",
    srcs = glob(["**/*.rs"], allow_empty = True),
    aliases = {aliases},
    compile_data = glob(["**"], exclude = ["**/*.rs", "BUILD.bazel", "**/* *"], allow_empty = True),
    crate_features = {features},
    crate_name = "{crate}",
    crate_root = "{root}",
    edition = "{edition}",
    proc_macro_deps = {proc_macros},
    # The warnings of other people's code are not ours to mend.
    rustc_flags = ["--cap-lints=allow"],
    version = "{version}",
    deps = {deps},
)
"""

_BUILD_SCRIPT = """
cargo_build_script(
    name = "build_script",
    srcs = glob(["**/*.rs"]),
    aliases = {aliases},
    crate_features = {features},
    crate_name = "build_script_build",
    crate_root = "{root}",
    data = glob(["**"], exclude = ["**/*.rs", "BUILD.bazel", "**/* *"], allow_empty = True),
    edition = "{edition}",
    pkg_name = "{name}",
    proc_macro_deps = {proc_macros},
    rustc_flags = ["--cap-lints=allow"],
    version = "{version}",
    deps = {deps},
)
"""

_LIBRARY_KINDS = ["lib", "rlib", "proc-macro"]

def _cargo(rctx, *args):
    tools = rctx.path(Label("@rust//:tools/cargo")).dirname
    result = rctx.execute(
        [tools.get_child("cargo")] + list(args),
        environment = {"RUSTC": str(tools.get_child("rustc"))},
        timeout = 1800,
        working_directory = "workspace",
    )
    if result.return_code:
        fail("cargo {} failed:\n{}".format(args[0], result.stderr))
    return result.stdout

def _stage(rctx):
    """Lays out a workspace of the manifests alone: cargo wants a source file for each."""
    for manifest in [rctx.attr.lockfile] + rctx.attr.manifests:
        root = rctx.attr.lockfile.package
        path = "/".join([manifest.package, manifest.name])[len(root):].lstrip("/")
        rctx.file("workspace/" + path, rctx.read(manifest))
        if "/" in path:
            rctx.file("workspace/{}/src/lib.rs".format(path.rpartition("/")[0]))

def _targets(package, kinds):
    return [t for t in package["targets"] if [k for k in t["kind"] if k in kinds]]

def _folder(package):
    return "vendor/{}-{}".format(package["name"], package["version"])

def _label(package):
    return "//{}:{}".format(_folder(package), package["name"])

def _dependencies(node, packages, kind):
    """What a crate asks for: (labels, labels of proc macros, aliases)."""
    deps, macros, aliases = [], [], {}
    for dep in node["deps"]:
        if not [k for k in dep["dep_kinds"] if k["kind"] == kind]:
            continue
        package = packages[dep["pkg"]]
        label = _label(package)
        if _targets(package, ["proc-macro"]):
            macros.append(label)
        else:
            deps.append(label)
        if dep["name"] != _targets(package, _LIBRARY_KINDS)[0]["name"].replace("-", "_"):
            aliases[label] = dep["name"]
    return deps, macros, aliases

def _relative(path, package):
    return path[len(package["manifest_path"]) - len("Cargo.toml"):]

def _build_file(package, node, packages):
    library = _targets(package, _LIBRARY_KINDS)[0]
    deps, macros, aliases = _dependencies(node, packages, None)
    text = _HEADER
    for script in _targets(package, ["custom-build"]):
        script_deps, script_macros, script_aliases = _dependencies(node, packages, "build")
        deps = deps + [":build_script"]
        text += _BUILD_SCRIPT.format(
            aliases = script_aliases,
            deps = script_deps,
            edition = script["edition"],
            features = node["features"],
            name = package["name"],
            proc_macros = script_macros,
            root = _relative(script["src_path"], package),
            version = package["version"],
        )
    return text + _CRATE.format(
        aliases = aliases,
        crate = library["name"].replace("-", "_"),
        deps = deps,
        edition = library["edition"],
        features = node["features"],
        name = package["name"],
        proc_macros = macros,
        root = _relative(library["src_path"], package),
        rule = "rust_proc_macro" if "proc-macro" in library["kind"] else "rust_library",
        version = package["version"],
    )

def _crates_repository_impl(rctx):
    _stage(rctx)
    config = _cargo(rctx, "vendor", "--locked", "--versioned-dirs", "../vendor")
    rctx.file("workspace/.cargo/config.toml", config)
    metadata = json.decode(_cargo(
        rctx,
        "metadata",
        "--format-version=1",
        "--locked",
        "--offline",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ))
    packages = {p["id"]: p for p in metadata["packages"]}
    direct = {}
    for node in metadata["resolve"]["nodes"]:
        package = packages[node["id"]]
        if package["source"]:
            # Crates may bring BUILD files of their own; they would name other repositories.
            rctx.delete(_folder(package) + "/BUILD")
            rctx.file(_folder(package) + "/BUILD.bazel", _build_file(package, node, packages))
        else:
            for dep in node["deps"]:
                if packages[dep["pkg"]]["source"]:
                    direct[packages[dep["pkg"]]["name"]] = _label(packages[dep["pkg"]])
    rctx.delete("workspace")
    rctx.file("BUILD.bazel", "".join([
        "alias(name = \"{}\", actual = \"{}\", visibility = [\"//visibility:public\"])\n".format(*item)
        for item in sorted(direct.items())
    ]))

crates_repository = repository_rule(
    doc = "The crates that a cargo workspace depends on, for x86_64 Linux.",
    implementation = _crates_repository_impl,
    attrs = {
        "lockfile": attr.label(mandatory = True, allow_single_file = True),
        "manifests": attr.label_list(
            mandatory = True,
            allow_files = True,
            doc = "Cargo.toml of the workspace and of each member.",
        ),
    },
    environ = ["CARGO_HOME", "CARGO_REGISTRIES_CRATES_IO_PROTOCOL"],
)
