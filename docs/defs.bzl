"""The site, and pages that programs write for it."""

def _pages_impl(ctx):
    ctx.actions.run(
        arguments = [ctx.actions.args().add_all(ctx.outputs.outs)],
        executable = ctx.attr.program[DefaultInfo].files_to_run,
        inputs = ctx.files.srcs,
        mnemonic = "WritePages",
        outputs = ctx.outputs.outs,
        progress_message = "writing pages of " + str(ctx.label),
    )

pages = rule(
    doc = "Files that a program writes, which gets their paths. The program is of this configuration: " +
          "as a tool it would have everything below it compiled twice.",
    implementation = _pages_impl,
    attrs = {
        "outs": attr.output_list(mandatory = True),
        "program": attr.label(cfg = "target", executable = True, mandatory = True),
        "srcs": attr.label_list(allow_files = True, doc = "What it reads."),
    },
)

def _site_impl(ctx):
    site = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add("--config", ctx.file.config)
    args.add("--out", site.path)
    for page in ctx.files.pages:
        args.add("{}={}".format(page.short_path, page.path))
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._build_site,
        inputs = ctx.files.pages + [ctx.file.config],
        mnemonic = "Site",
        outputs = [site],
        progress_message = "building the site " + str(ctx.label),
    )
    return [DefaultInfo(files = depset([site]), runfiles = ctx.runfiles([site]))]

site = rule(
    doc = "A folder of HTML: the pages lie in it as they lie in the repository.",
    implementation = _site_impl,
    attrs = {
        "config": attr.label(allow_single_file = True, mandatory = True),
        "pages": attr.label_list(allow_files = True, mandatory = True),
        "_build_site": attr.label(
            cfg = "exec",
            default = "//docs:build_site",
            executable = True,
        ),
    },
)
