# SPDX-License-Identifier: MIT
"""The Debian packages of the tools tree (amd64), beyond the essential ones. `lock --update` resolves them."""

PACKAGES = (
    # compilers: for the Pi, for programs that run on the build machine, for eBPF
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    "gcc",
    "libc6-dev",
    "clang-19",
    "llvm-19",
    "libclang-rt-19-dev",  # libFuzzer and the sanitizers, for what is compiled from mcp/ for the build machine
    "libbpf-dev",  # headers of BPF programs and of their loaders
    "ccache",  # for builds by hand in `./build.py shell`; the kernel's recipe leaves that to kbuild (decision 008)
    # the kernel's build
    "make",
    "bc",
    "bison",
    "flex",
    "kmod",
    "libelf-dev",
    "libssl-dev",
    "libncurses-dev",
    "libdw-dev",
    "zlib1g-dev",
    "cpio",
    "patch",
    "perl",
    "rsync",
    "bpftool",
    "pahole",
    "device-tree-compiler",
    "sparse",
    "coccinelle",
    "dkms",
    "shellcheck",
    # images
    "mtools",
    "dosfstools",
    "erofs-utils",
    "e2fsprogs",
    "fdisk",
    "bmap-tools",
    "xz-utils",
    "zstd",
    "lz4",
    "dropbear-bin",
    # the builds' own language
    "python3",
    "python3-yaml",
    "python3-jinja2",
    "python3-pyelftools",
    # the machine that boots them
    "qemu-system-arm",
    # package resolution
    "apt",
    "ca-certificates",
    "debian-archive-keyring",
)
