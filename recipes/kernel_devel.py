# SPDX-License-Identifier: MIT
"""devel.tar: the part of a built kernel tree that external modules, their checks and their tools need.

It unpacks to ./linux-devel; `make -C linux-devel M=... ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- modules` builds
a module with BTF there. Not in it: sources, object files, and the kernel's DWARF (vmlinux keeps symbols and BTF).
"""

from __future__ import annotations

import re
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protopi.step import Context

ROOT = "linux-devel"
#: resolve_btfids and vmlinux give modules their BTF; COPYING and LICENSES are what spdxcheck reads; checkpatch
#: knows a kernel tree by its top-level files.
FILES = (
    ".config",
    "COPYING",
    "CREDITS",
    "Kbuild",
    "Kconfig",
    "MAINTAINERS",
    "Makefile",
    "Module.symvers",
    "README",
    "System.map",
)
FOLDERS = (
    "include",
    "scripts",
    "LICENSES",
    "arch/arm64/include",
    "tools/net/ynl",
    "tools/include",
    "tools/lib/bpf",
    "tools/scripts",
    "tools/build",
    "Documentation/netlink",
    "Documentation/dev-tools",
)
TOOLS = ("tools/bpf/resolve_btfids/resolve_btfids",)
#: Left out of folders: objects, dependency files, and the source of tools that are there as programs.
SKIP_SUFFIXES = (".o", ".a", ".d", ".cmd", ".mod", ".order", ".dtb", ".pyc", ".tmp")
SKIP_PARTS = ("__pycache__", "gcc-plugins", "selinux", "dtc/include-prefixes")
#: One empty file for each option that was ever on in this tree (fixdep's time stamps): external modules need none.
OPTION_STAMP = re.compile(r"include/config/[A-Z0-9_]+")


def wanted(tree: Path) -> Iterator[str]:
    """Names below `tree` that go into the archive, sorted."""
    names = {name for name in (*FILES, *TOOLS) if (tree / name).exists()}
    for folder in FOLDERS:
        for path in (tree / folder).rglob("*"):
            name = path.relative_to(tree).as_posix()
            if path.is_dir() and not path.is_symlink():
                continue
            if name.endswith(SKIP_SUFFIXES) or any(part in name for part in SKIP_PARTS) or OPTION_STAMP.fullmatch(name):
                continue
            names.add(name)
    for pattern in ("arch/arm64/Makefile", "arch/arm64/Kbuild", "**/Kconfig*"):
        names |= {path.relative_to(tree).as_posix() for path in tree.glob(pattern)}
    yield from sorted(names)


def entry(name: str, path: Path, epoch: int) -> tarfile.TarInfo:
    """A header that depends on name, content and the executable bit alone."""
    info = tarfile.TarInfo(f"{ROOT}/{name}")
    info.mtime = epoch
    if path.is_symlink():
        info.type = tarfile.SYMTYPE
        info.linkname = path.readlink().as_posix()
        info.mode = 0o777
        return info
    status = path.stat()
    info.size = status.st_size
    info.mode = 0o755 if status.st_mode & 0o100 else 0o644
    return info


def write_devel(ctx: Context, tree: Path, target: Path) -> None:
    """Write the archive, the same bytes for the same tree."""
    slim = ctx.work / "vmlinux.slim"
    ctx.run(["aarch64-linux-gnu-objcopy", "--strip-debug", tree / "vmlinux", slim])
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted([*wanted(tree), "vmlinux"]):
            path = slim if name == "vmlinux" else tree / name
            info = entry(name, path, ctx.epoch)
            if info.issym():
                archive.addfile(info)
            else:
                with path.open("rb") as file:
                    archive.addfile(info, file)
