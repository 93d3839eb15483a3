"""What is taken from Debian, from which suite, and why.

Each set is resolved on its own, as if for an empty system, and unpacked into
its own root; nothing is ever installed on the host.

  roots    packages asked for
  exclude  full-match regexes of packages dropped from the closure
  closure  False: take exactly the roots, no dependencies
  source   True: roots are source packages, whose upstream archive is taken
  skip     regex, matched at the start: paths that are not unpacked
"""

from typing import Any

# Needed by maintainer scripts or by packaging policy, never by the programs.
_NEVER = [
    "dpkg",
    "dpkg-dev",
    "tar",
    "debconf",
    "perl.*",
    "libperl.*",
    "make",
    "patch",
    "libdpkg-perl",
    "build-essential",
    "util-linux",
    "libpam-.*",
    "tzdata",
    "media-types",
    "netbase",
    "readline-common",
    "gcc-[0-9]+-base",
]
# Compilers and development files: ours come from the llvm and sysroot sets.
_HOST_CC = [
    r"(gcc|g\+\+|cpp)(-[0-9]+)?(-x86-64-linux-gnu)?",
    "binutils.*",
    "libbinutils",
    "libc6-dev",
    "libc-dev-bin",
    "linux-libc-dev",
    "libcrypt-dev",
    "rpcsvc-proto",
    r"lib(gcc|stdc\+\+|objc)-[0-9]+-dev",
    "lib(a|t|l|hwa|ub)san[0-9]+",
    "libc-gconv-modules-extra",
    "lib(gprofng|ctf|ctf-nobfd|sframe|cc1-|itm|isl|mpc|mpfr|quadmath|gomp|objc)[0-9]+",
]

SETS: dict[str, dict[str, Any]] = {
    # Bazel itself. Only forky (testing) and sid have a bzlmod-era Bazel.
    "bazel": {
        "suite": "forky",
        "roots": [
            "bazel-bootstrap",
            "bazel-rules-rust",
            "bazel-rules-shell",
            "bazel-lib",
            "bazel-features",
            "libblake3-0",  # linked by the client but not declared as a dependency
            "patchelf",  # used once, by relocate.py
            "librust-tinyjson-dev",  # the crate that rules_rust's process wrapper needs
        ],
        # The JRE is enough: no Java is compiled here, and the JDK is 350 MB.
        "exclude": _NEVER
        + _HOST_CC
        + [
            "openjdk-.*-jdk-headless",
            "default-jdk-headless",
            "zlib1g-dev",
            "python3.*",
            "libpython3.*",
            "libjs-.*",
            "node-.*",
            "unzip",
            "openssl",
        ],
    },
    # Compiler, linker, binutils, sanitizer runtimes, and the two clang checkers.
    "llvm": {
        "suite": "trixie",
        "roots": [
            "clang-17",
            "lld-17",
            "llvm-17",
            "libclang-rt-17-dev",
            "clang-tidy-17",
            "clang-format-17",
        ],
        "exclude": _NEVER
        + _HOST_CC
        + [
            "python3.*",
            "libpython3.*",
            "clang-tools-17",
            "libclang1-17.*",
            "libgc1",
            "libpfm4",
            "llvm-17-runtime",
        ],
        "skip": r"usr/(bin|share|include|lib/llvm-17/(lib/cmake|share))/"
        # of 90 tools, those that are used
        r"|usr/lib/llvm-17/bin/(?!(clang|clang\+\+|clang-17|clang-tidy|clang-format|lld|ld\.lld"
        r"|llvm-(ar|cov|dwp|nm|objcopy|objdump|profdata|readelf|readobj|strip|symbolizer))$)",
    },
    # What binaries are built against: the older suite, so that they run on any
    # glibc >= 2.36 whatever suite the compiler came from.
    "sysroot": {
        "suite": "bookworm",
        "roots": [
            "libc6",
            "libc6-dev",
            "libgcc-s1",
            "libgcc-12-dev",
            "libstdc++-12-dev",
            "libcrypt1",
            "libcrypt-dev",
            "linux-libc-dev",
        ],
        "closure": False,
    },
    "rust": {
        "suite": "trixie",
        "roots": ["rustc", "cargo", "rustfmt", "rust-clippy"],
        "exclude": _NEVER + _HOST_CC,
        "skip": r"usr/share/",
    },
    "python": {
        "suite": "bookworm",
        "roots": [
            "python3.11",
            "libpython3.11-dev",
            "libstdc++6",
        ],  # manylinux wheels expect it on the system
        "exclude": _NEVER
        + _HOST_CC
        + [
            "zlib1g-dev",
            "libexpat1-dev",
            "libpython3.11",
            "python3",
            "python3-minimal",
            "libpython3-stdlib",
            "openssl",
            "ca-certificates",
        ],
        "skip": r"usr/(share|include/(rpcsvc|tirpc)|lib/(ssl|binfmt.d))/",
    },
    "pip": {"suite": "bookworm", "roots": ["python3-pip", "python3-distutils"], "closure": False},
    # Libraries that are compiled, or only included, with our own toolchain.
    "googletest": {"suite": "bookworm", "roots": ["googletest"], "closure": False},
    "googlebenchmark": {
        "suite": "trixie",
        "roots": ["benchmark"],
        "source": True,
        "skip": r"(?!(src|include|LICENSE)(/|$))",  # its own BUILD files would be packages
    },
    "nlohmann-json": {"suite": "bookworm", "roots": ["nlohmann-json3-dev"], "closure": False},
    "xxhash": {"suite": "bookworm", "roots": ["libxxhash-dev"], "closure": False},
    # Compiles buildifier, which no package has; nothing that is built here is written in Go.
    "go": {
        "suite": "trixie",
        "roots": ["golang-1.24-go", "golang-1.24-src"],  # linked statically: no closure
        "closure": False,
        "skip": r"usr/share/go-1\.24/(api|misc|test)/|.*(_test\.go$|/testdata/)",
    },
    # A browser for the tests of pages. It runs on the host's glibc: it starts itself anew through
    # /proc/self/exe, which a loader of our own would be.
    "chromium": {
        "suite": "bookworm",
        "roots": ["chromium-headless-shell", "fonts-dejavu-core"],
        "exclude": _NEVER
        + _HOST_CC
        + [
            "libc6",
            "libc-bin",
            "libgl1-mesa-dri",
            "libllvm[0-9]+",
            "xdg-utils",
            "x11-utils",
            "adduser",
            "ucf",
        ],
        "skip": r"usr/share/(?!fonts)|etc/(?!fonts)|usr/lib/chromium/locales/(?!en-US)|var/|lib/systemd/",
    },
    # The remote cache's server in tools/integration/cache_test.py.
    "nginx": {
        "suite": "bookworm",
        "roots": ["nginx"],
        "exclude": _NEVER + _HOST_CC + ["iproute2", "lsb-base", "sysvinit-utils", "nginx-common"],
        "skip": r"(usr/share|etc|var|lib/systemd|usr/lib/systemd)/",
    },
}
