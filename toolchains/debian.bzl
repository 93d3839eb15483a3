"""Repositories made of Debian packages; tools/bootstrap/sets.py says which and why."""

# What the content of a fetched set depends on; a change refetches the repository.
_INPUTS = [
    Label("//tools/bootstrap:" + f)
    for f in ["deb.py", "debs.lock.json", "sets.py", "unpack.py"]
]
_FETCH = Label("//tools/bootstrap:fetch.py")

def fetch_set(rctx, name, dest):
    """Places a set of tools/bootstrap/sets.py under dest, relative to the repository.

    Args:
      rctx: the repository context
      name: the set
      dest: a folder of the repository, or "."
    """
    for label in _INPUTS:
        rctx.watch(label)
    python = rctx.which("python3")
    if not python:
        fail("python3 is needed on the host to unpack packages")
    result = rctx.execute([python, rctx.path(_FETCH), name, dest], timeout = 3600, quiet = False)
    if result.return_code:
        fail("cannot fetch set '{}':\n{}".format(name, result.stderr))

# The loader and the libraries that the program came with, so that it runs on any host.
_WRAPPER = """\
#!/bin/sh
# {program} under its own loader. No absolute path: nothing depends on where this lies.
root={root}
exec "$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --argv0 "$0" \\
  --library-path "$root/usr/lib/x86_64-linux-gnu{more}" "$root/{program}" "$@"
"""

def wrap(rctx, wrapper, program, libs = []):
    """Writes a script that runs a program of the repository.

    Args:
      rctx: the repository context
      wrapper: path of the script
      program: path of the program
      libs: further library directories
    """
    root = "/".join(["${0%/*}"] + [".."] * wrapper.count("/"))
    rctx.file(wrapper, _WRAPPER.format(
        program = program,
        root = root,
        more = "".join([":$root/" + d for d in libs]),
    ))

def _debian_library_impl(rctx):
    fetch_set(rctx, rctx.attr.set, ".")
    for program in rctx.attr.programs:
        wrap(rctx, "tools/" + program.split("/")[-1], program)
    rctx.symlink(rctx.attr.build_file, "BUILD.bazel")

debian_library = repository_rule(
    doc = "The files of one set, with a BUILD file laid over them.",
    implementation = _debian_library_impl,
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True),
        "programs": attr.string_list(doc = "Programs that get a wrapper in tools/."),
        "set": attr.string(mandatory = True, doc = "A key of SETS in tools/bootstrap/sets.py."),
    },
    environ = ["INFENG_DEB_MIRROR"],
)
