load("@bazel_tools//tools/cpp:unix_cc_toolchain_config.bzl", "cc_toolchain_config")
load("@rules_cc//cc:defs.bzl", "cc_toolchain")

package(default_visibility = ["//visibility:public"])

exports_files(glob(["tools/*"]))

# Small input sets per kind of action: each file is a link in each sandbox.
filegroup(
    name = "programs",
    srcs = glob([
        "tools/*",
        "usr/lib/llvm-17/bin/*",
        "usr/lib/llvm-17/lib/*.so*",
        "usr/lib/x86_64-linux-gnu/*.so*",
    ]),
)

filegroup(
    name = "compiler_files",
    srcs = [":programs"] + glob([
        "usr/lib/llvm-17/lib/clang/17/include/**",
        "usr/lib/llvm-17/lib/clang/17/share/**",
        "sysroot/usr/include/**",
        "sysroot/usr/lib/gcc/**",  # where clang looks for the C++ headers' version
    ]),
)

filegroup(
    name = "linker_files",
    srcs = [":programs"] + glob([
        "usr/lib/llvm-17/lib/clang/17/lib/**",
        "sysroot/usr/lib/**",
        # The same through the usrmerge links: libc.so and libm.so are linker scripts
        # that name /lib and /lib64.
        "sysroot/lib/x86_64-linux-gnu/*.so*",
        "sysroot/lib64/*",
    ]),
)

filegroup(
    name = "all_files",
    srcs = [
        ":compiler_files",
        ":linker_files",
    ],
)

cc_toolchain_config(
    name = "config",
    abi_libc_version = "glibc_2.36",
    abi_version = "gcc",
    builtin_sysroot = "{root}/sysroot",
    compile_flags = [
        "-fstack-protector",
        "-fno-omit-frame-pointer",
        "-Wall",
        # One rounding for each operation, as written: results do not depend on what the
        # optimiser fuses (docs/architecture.md, the numeric contract).
        "-ffp-contract=off",
        # Outputs must not name the directory they were made in.
        "-ffile-compilation-dir=.",
    ],
    compiler = "clang",
    cpu = "k8",
    coverage_compile_flags = ["-fprofile-instr-generate", "-fcoverage-mapping"],
    coverage_link_flags = ["-fprofile-instr-generate"],
    cxx_builtin_include_directories = [
        "%sysroot%/usr/include",
        "%sysroot%/usr/lib/gcc",
        "usr/lib/llvm-17/lib/clang/17/include",
        "usr/lib/llvm-17/lib/clang/17/share",
    ],
    cxx_flags = ["-std=c++20"],
    dbg_compile_flags = ["-g"],
    host_system_name = "local",
    link_flags = [
        "-no-canonical-prefixes",
        "-resource-dir={root}/usr/lib/llvm-17/lib/clang/17",
        "-fuse-ld=lld",
        "--ld-path={root}/tools/ld.lld",
        "-static-libgcc",
        "-Wl,-z,relro,-z,now",
        "-Wl,--as-needed",
    ],
    # The sysroot has no libstdc++.so, so this is the static library: binaries need
    # nothing but glibc.
    link_libs = [
        "-lstdc++",
        "-lm",
    ],
    opt_compile_flags = [
        "-O2",
        "-g0",
        "-DNDEBUG",
        "-ffunction-sections",
        "-fdata-sections",
    ],
    opt_link_flags = ["-Wl,--gc-sections"],
    supports_start_end_lib = True,
    target_libc = "glibc_2.36",
    target_system_name = "x86_64-linux-gnu",
    tool_paths = {
        "ar": "tools/llvm-ar",
        "cpp": "tools/clang",
        "dwp": "tools/llvm-dwp",
        "gcc": "tools/clang",
        "gcov": "tools/llvm-cov",
        "ld": "tools/ld.lld",
        "llvm-cov": "tools/llvm-cov",
        "llvm-profdata": "tools/llvm-profdata",
        "nm": "tools/llvm-nm",
        "objcopy": "tools/llvm-objcopy",
        "objdump": "tools/llvm-objdump",
        "strip": "tools/llvm-strip",
    },
    toolchain_identifier = "clang-17-bookworm",
    unfiltered_compile_flags = [
        # Keep the paths as given, relative, in argv[0] and in dependency files.
        "-no-canonical-prefixes",
        "-resource-dir={root}/usr/lib/llvm-17/lib/clang/17",
        "-Wno-builtin-macro-redefined",
        "-D__DATE__=\"redacted\"",
        "-D__TIMESTAMP__=\"redacted\"",
        "-D__TIME__=\"redacted\"",
    ],
)

cc_toolchain(
    name = "cc",
    all_files = ":all_files",
    ar_files = ":programs",
    as_files = ":compiler_files",
    compiler_files = ":compiler_files",
    dwp_files = ":programs",
    linker_files = ":linker_files",
    objcopy_files = ":programs",
    strip_files = ":programs",
    supports_param_files = 1,
    toolchain_config = ":config",
    toolchain_identifier = "clang-17-bookworm",
)
