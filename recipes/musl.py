# SPDX-License-Identifier: MIT
"""Static arm64 programs against musl: where the C library and the kernel's headers come from.

musl is Debian's own arm64 package, unpacked and never installed. The kernel's headers are those of the cross
compiler's libc6-dev, by folder, so that nothing of glibc is on the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protopi.errors import StepError

if TYPE_CHECKING:
    from protopi.step import Context

#: What `debs` of a recipe must declare, from the lock set of the same name.
LOCK_SET = "target"
PACKAGES = ("musl", "musl-dev")
CROSS = "aarch64-linux-gnu-"
KERNEL_HEADERS = Path("/usr/aarch64-linux-gnu/include")
HEADER_FOLDERS = ("linux", "asm", "asm-generic", "mtd")
#: ELF: e_machine at offset 18, 183 is AArch64; a program header of type 3 names an interpreter, which would mean
#: a program that is not static.
MACHINE_AARCH64, PT_INTERP = 183, 3


@dataclass(frozen=True, slots=True)
class Musl:
    """`sysroot`: musl and musl-dev, unpacked; `uapi`: the kernel's headers alone."""

    sysroot: Path
    uapi: Path

    def make_arguments(self) -> list[str]:
        """Variables for init/Makefile, and for every Makefile of its kind."""
        return [f"CC={CROSS}gcc", f"SYSROOT={self.sysroot}", f"UAPI={self.uapi}"]


def unpack(ctx: Context) -> Musl:
    """Unpack musl below ctx.work; `ctx` must have declared PACKAGES of LOCK_SET."""
    musl = Musl(ctx.work / "musl", ctx.work / "uapi")
    for package in PACKAGES:
        ctx.run(["dpkg-deb", "-x", ctx.debs(LOCK_SET)[package].path, musl.sysroot])
    musl.uapi.mkdir()
    for folder in HEADER_FOLDERS:
        (musl.uapi / folder).symlink_to(KERNEL_HEADERS / folder)
    return musl


def check_static(path: Path) -> None:
    """Raise StepError unless `path` is a static AArch64 program."""
    data = path.read_bytes()
    if data[:5] != b"\x7fELF\x02" or int.from_bytes(data[18:20], "little") != MACHINE_AARCH64:
        raise StepError(f"{path.name} is no 64-bit AArch64 program")
    start, size, count = (int.from_bytes(data[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    types = [int.from_bytes(data[start + size * n :][:4], "little") for n in range(count)]
    if PT_INTERP in types:
        raise StepError(f"{path.name} is not static: it names an interpreter")
