# SPDX-License-Identifier: MIT
"""mcp-bench: what a round trip costs over /dev/mcp and over its alternatives (mcp/bench). For test images.

Output: mcp-bench (static, arm64).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi.recipe import Inputs, Recipe
from recipes import musl

if TYPE_CHECKING:
    from protopi.step import Context

OUTPUT = "mcp-bench"


class McpBench(Recipe):
    """The benchmark of `./build.py bench`."""

    name = "mcp_bench"
    summary = "benchmark of /dev/mcp and its alternatives"
    licence = "GPL-2.0-only"

    def inputs(self) -> Inputs:
        return Inputs(
            debs={musl.LOCK_SET: musl.PACKAGES},
            files=("mcp/bench", "mcp/include"),
        )

    @staticmethod
    def build(ctx: Context) -> None:
        words = [*musl.unpack(ctx).make_arguments(), f"MCP={ctx.project / 'mcp/include/uapi'}"]
        objects = ctx.work / "bench"
        ctx.run(["make", "-C", ctx.project / "mcp/bench", f"-j{ctx.jobs}", *words, f"OUT={objects}", "all"])
        ctx.run(["cp", objects / OUTPUT, ctx.out / OUTPUT])
        musl.check_static(ctx.out / OUTPUT)
