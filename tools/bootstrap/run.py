#!/usr/bin/env python3
"""Makes a private Bazel installation, if there is none yet, and runs it with our arguments."""

import sys

if sys.version_info < (3, 9):
    sys.exit(
        "tools/bazel: python3 3.9 or newer is needed; this is %d.%d" % tuple(sys.version_info[:2])
    )
sys.dont_write_bytecode = True  # do not dirty the checkout

import os  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import bazelrc  # noqa: E402
import cachedir  # noqa: E402
import errors  # noqa: E402
import install  # noqa: E402
import lockfile  # noqa: E402
import registry  # noqa: E402
import relocate  # noqa: E402
import truststore  # noqa: E402
import unpack  # noqa: E402

WORKSPACE = os.path.dirname(os.path.dirname(HERE))
BOUNDARIES = ("MODULE.bazel", "REPO.bazel", "WORKSPACE.bazel", "WORKSPACE")  # of a workspace


def check_host():
    """Raises BootstrapError where the packages' programs cannot run."""
    system = os.uname()
    if (system.sysname, system.machine) != ("Linux", "x86_64"):
        raise errors.BootstrapError(
            f"the Bazel made here is for Linux on x86_64, and this is {system.sysname} on "
            f"{system.machine}; set BAZEL_REAL to a Bazel for this machine"
        )


def bazel():
    """Path of the installation; made on first use."""

    def make(folder, final):
        unpack.unpack("bazel", folder)
        relocate.relocate(folder, final)

    dest = cachedir.path("bazel", lockfile.key("bazel", code=["relocate.py"]))
    return install.once(dest, make, "Bazel")


def offline(root, workspace):
    """Path of the registry for the workspace, with the installation at `root`."""
    inputs = [registry.__file__, *registry.module_files(workspace)]
    name = os.path.basename(root) + "-" + lockfile.digest(inputs)
    return install.once(
        cachedir.path("registry", name),
        lambda folder, final: registry.generate(root, folder, final, workspace),
        "the module registry",
    )


def command(args):
    """The command line of Bazel's client for our arguments."""
    root = bazel()
    options = [
        "--nosystem_rc",
        f"--bazelrc={offline(root, WORKSPACE)}/offline.bazelrc",
        f"--install_base={os.path.join(root, relocate.SHARE)}",
        "--trust_install_base",  # its files' times are not those Bazel would set
        f"--server_javabase={os.path.join(root, relocate.jre(root))}",
    ]
    trusted = truststore.path()
    if trusted:
        options.append(f"--host_jvm_args=-Djavax.net.ssl.trustStore={trusted}")
    if not bazelrc.sets_output_root(args, WORKSPACE):
        options.append(f"--output_user_root={cachedir.path('output')}")
    return [os.path.join(root, "usr/bin/bazel"), *options, *args]


def enter_workspace():
    """Outside of any workspace, ours is meant: /path/to/checkout/tools/bazel works anywhere."""
    folder = os.getcwd()
    while not any(os.path.isfile(os.path.join(folder, name)) for name in BOUNDARIES):
        parent = os.path.dirname(folder)
        if parent == folder:
            os.chdir(WORKSPACE)
            return
        folder = parent


def main(args):
    check_host()
    enter_workspace()
    line = command(args)
    os.execv(line[0], line)


if __name__ == "__main__":
    sys.exit(errors.run("tools/bazel", main, sys.argv[1:]))
