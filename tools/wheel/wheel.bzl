"""A wheel of a Python library, and the list of what it is made of.

rules_python's py_wheel needs programs that its Debian package leaves out.
"""

_ContentsInfo = provider(
    doc = "What a target is made of.",
    fields = {
        "notices": "depset of files: those of the crates that are linked in",
        "lines": "depset of 'KIND LABEL': the rules of all libraries",
    },
)

_EDGES = ["data", "deps"]
_LICENSES = ("COPYING", "LICENSE", "NOTICE", "UNLICENSE")

def _contents_aspect_impl(target, ctx):
    below = []
    for edge in _EDGES:
        for dep in getattr(ctx.rule.attr, edge, None) or []:
            if _ContentsInfo in dep:
                below.append(dep[_ContentsInfo])
    line = "{} {}".format(ctx.rule.kind, str(target.label))
    notices = []
    if ctx.rule.kind == "rust_library":
        notices = [f for f in ctx.rule.files.compile_data if f.basename.startswith(_LICENSES)]
    return [_ContentsInfo(
        notices = depset(notices, transitive = [b.notices for b in below]),
        lines = depset([line], transitive = [b.lines for b in below]),
    )]

_contents_aspect = aspect(
    implementation = _contents_aspect_impl,
    attr_aspects = _EDGES,
)

def _contents_impl(ctx):
    lines = depset(transitive = [d[_ContentsInfo].lines for d in ctx.attr.deps])
    args = ctx.actions.args().add_all(lines)
    args.set_param_file_format("multiline")
    ctx.actions.write(ctx.outputs.out, args)

contents = rule(
    doc = "A text file with a line 'KIND LABEL' for each target that deps are made of.",
    implementation = _contents_impl,
    attrs = {
        "deps": attr.label_list(aspects = [_contents_aspect]),
        "out": attr.output(mandatory = True),
    },
)

def _wheel_impl(ctx):
    files = depset(transitive = [d[DefaultInfo].default_runfiles.files for d in ctx.attr.deps])
    prefix = ctx.attr.root + "/"
    packed = [f for f in files.to_list() if f.short_path.startswith(prefix + ctx.attr.package + "/")]
    wheel = ctx.actions.declare_file("{}-{}-{}.whl".format(
        ctx.attr.package,
        ctx.attr.version,
        ctx.attr.tag,
    ))
    args = ctx.actions.args()
    args.add("--out", wheel)
    args.add("--metadata", ctx.file.metadata)
    args.add("--description", ctx.file.description)
    for script, entry in ctx.attr.scripts.items():
        args.add("--script", "{} = {}".format(script, entry))
    extra = []
    for target, path in ctx.attr.dist_info.items():
        extra.append(target.files.to_list()[0])
        args.add("--dist-info", "{}={}".format(path, extra[-1].path))
    for file in depset(transitive = [d[_ContentsInfo].notices for d in ctx.attr.deps]).to_list():
        extra.append(file)
        crate = file.dirname.split("/")[-1]
        args.add("--dist-info", "licenses/{}/{}={}".format(crate, file.basename, file.path))
    for file in packed:
        args.add("{}={}".format(file.short_path.removeprefix(prefix), file.path))
    args.use_param_file("@%s").set_param_file_format("multiline")
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._make,
        inputs = packed + extra + [ctx.file.metadata, ctx.file.description],
        mnemonic = "Wheel",
        outputs = [wheel],
        progress_message = "Packing %{output}",
    )
    return [DefaultInfo(files = depset([wheel]), runfiles = ctx.runfiles([wheel]))]

_wheel = rule(
    implementation = _wheel_impl,
    attrs = {
        "deps": attr.label_list(aspects = [_contents_aspect], providers = [PyInfo]),
        "description": attr.label(allow_single_file = True, mandatory = True),
        "dist_info": attr.label_keyed_string_dict(allow_files = True),
        "metadata": attr.label(allow_single_file = True, mandatory = True),
        "package": attr.string(mandatory = True),
        "root": attr.string(mandatory = True),
        "scripts": attr.string_dict(),
        "tag": attr.string(mandatory = True),
        "version": attr.string(mandatory = True),
        "_make": attr.label(cfg = "exec", default = ":make_wheel", executable = True),
    },
)

def wheel(name, **kwargs):
    """The wheel of one Python package, in the version of MODULE.bazel.

    Args:
      name: the target
      **kwargs: deps: the libraries whose files under root/package/ go in; package, which is the
        distribution's name too; root: the folder that stands for site-packages; tag:
        PYTHON-ABI-PLATFORM; metadata: METADATA's fields, without the version; description: a
        Markdown file; scripts: name to module:function; dist_info: file to its path in .dist-info
    """
    _wheel(name = name, version = native.module_version(), **kwargs)
