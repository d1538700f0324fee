# SPDX-License-Identifier: MIT
"""libmcp: MCP over /dev/mcp for programs in C (mcp/libmcp), with its tests and examples. The programs: for test images.

Outputs: libmcp.a, libmcp.h (arm64, for musl), tests/NAME (static, arm64).

liburing is Debian's own arm64 package, unpacked and never installed. It is built for glibc, and needs nothing of it
but memset, calloc, free and the stack protector's two symbols, which musl has.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from protopi.recipe import Inputs, Recipe
from recipes import musl

if TYPE_CHECKING:
    from protopi.step import Context

LIBURING = "liburing-dev"
PROGRAMS = ("libmcp_test", "libmcp_pure_test", "libmcp_server", "libmcp_client")


class LibMcp(Recipe):
    """The library, and what a test image has of it."""

    name = "libmcp"
    summary = "MCP over /dev/mcp for programs in C, and its tests"
    licence = "GPL-2.0-only OR MIT"

    def inputs(self) -> Inputs:
        return Inputs(
            debs={musl.LOCK_SET: (*musl.PACKAGES, LIBURING)},
            files=("mcp/libmcp", "mcp/include"),
        )

    @staticmethod
    def build(ctx: Context) -> None:
        uring, built = ctx.work / "liburing", ctx.work / "libmcp"
        ctx.run(["dpkg-deb", "-x", ctx.debs(musl.LOCK_SET)[LIBURING].path, uring])
        words = [*musl.unpack(ctx).make_arguments(), f"AR={musl.CROSS}ar", f"MCP={ctx.project / 'mcp/include/uapi'}",
                 f"URING={uring}", f"OUT={built}"]  # fmt: skip
        ctx.run(["make", "-C", ctx.project / "mcp/libmcp", f"-j{ctx.jobs}", *words, "all"])
        shutil.copy2(built / "libmcp.a", ctx.out / "libmcp.a")
        shutil.copy2(ctx.project / "mcp/libmcp/libmcp.h", ctx.out / "libmcp.h")
        (ctx.out / "tests").mkdir()
        for name in PROGRAMS:
            shutil.copy2(built / name, ctx.out / "tests" / name)
            musl.check_static(ctx.out / "tests" / name)
