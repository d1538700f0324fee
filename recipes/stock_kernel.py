# SPDX-License-Identifier: MIT
"""Debian's own arm64 kernels, for the test that mcp.ko builds and runs on them by DKMS (docs/dkms.md).

No image has anything of this. Outputs, for each kernel below, in a folder of its release's name: usr/ (headers and
what builds modules with them), Image; and beside them busybox and selftests/NAME (static, arm64).

A superseded version vanishes from Debian's mirrors. Then `lock --update stock` says so, and its successor's name
belongs here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi.recipe import Inputs, Recipe
from recipes import external_module, musl

if TYPE_CHECKING:
    from pathlib import Path

    from protopi.step import Context

#: Lock sets: what is arm64 or for all, and what runs on the machine that builds.
LOCK_SET, HOST_SET = "stock", "stock-host"
#: trixie's kernel and that of its backports, and the package that holds each one's Image.
KERNELS = {
    "6.12.117+deb13": "linux-image-6.12.117+deb13-arm64",
    "7.3.4+deb13": "linux-binary-7.3.4+deb13-arm64",
}
BUSYBOX = "busybox-static"
SELFTESTS = "mcp/kernel/selftests"


def headers(version: str) -> tuple[str, str]:
    """The packages with a kernel's headers."""
    return f"linux-headers-{version}-arm64", f"linux-headers-{version}-common"


def kbuild(version: str) -> str:
    """The package with the programs that build a module."""
    return f"linux-kbuild-{version}"


class StockKernel(Recipe):
    """Kernels as Debian ships them."""

    name = "stock_kernel"
    summary = "Debian's stock arm64 kernels and their headers (tests only)"
    licence = "GPL-2.0-only"

    def inputs(self) -> Inputs:
        return Inputs(
            debs={
                LOCK_SET: (BUSYBOX, *(name for version in KERNELS for name in (*headers(version), KERNELS[version]))),
                HOST_SET: tuple(kbuild(version) for version in KERNELS),
                musl.LOCK_SET: musl.PACKAGES,
            },
            files=(SELFTESTS, "mcp/include"),
        )

    @staticmethod
    def build(ctx: Context) -> None:
        for version, image in KERNELS.items():
            unpack(ctx, version, image, ctx.out / f"{version}-arm64")
        debs = ctx.debs(LOCK_SET)
        ctx.run(["dpkg-deb", "-x", debs[BUSYBOX].path, ctx.work / "busybox"])
        ctx.run(["cp", ctx.work / "busybox/usr/bin/busybox", ctx.out / "busybox"])
        external_module.build_selftests(ctx, ctx.project / SELFTESTS, f"MCP={ctx.project / 'mcp/include/uapi'}")


def unpack(ctx: Context, version: str, image: str, target: Path) -> None:
    """One kernel's folder."""
    target.mkdir()
    for name in headers(version):
        ctx.run(["dpkg-deb", "-x", ctx.debs(LOCK_SET)[name].path, target])
    ctx.run(["dpkg-deb", "-x", ctx.debs(HOST_SET)[kbuild(version)].path, target])
    # The one absolute path in them. MAKEFILE_LIST is this Makefile's own place, wherever it was unpacked.
    makefile = target / f"usr/src/linux-headers-{version}-arm64/Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", "$(dir $(lastword $(MAKEFILE_LIST)))../"))
    whole = ctx.work / f"image-{version}"
    ctx.run(["dpkg-deb", "-x", ctx.debs(LOCK_SET)[image].path, whole])
    ctx.run(["cp", next(whole.rglob("vmlinuz*")), target / "Image"])
