# SPDX-License-Identifier: MIT
"""mcp-bench: what a round trip costs over /dev/mcp and over its alternatives (mcp/bench); and mcp-bypass, calls that
come by AF_XDP. For test images.

Outputs: mcp-bench, mcp-bypass (static, arm64).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi.recipe import Inputs, Recipe
from recipes import musl

if TYPE_CHECKING:
    from protopi.step import Context

#: Each program, and the folder of its Makefile.
PROGRAMS = {"mcp-bench": "mcp/bench", "mcp-bypass": "mcp/bench/bypass"}


class McpBench(Recipe):
    """The benchmark of `./build.py bench`, and the receiver of docs/network.md that goes past the kernel's network."""

    name = "mcp_bench"
    summary = "benchmark of /dev/mcp and its alternatives; AF_XDP receiver"
    licence = "GPL-2.0-only"

    def inputs(self) -> Inputs:
        return Inputs(
            debs={musl.LOCK_SET: musl.PACKAGES},
            files=("mcp/bench", "mcp/include", "mcp/net/selftests"),
        )

    @staticmethod
    def build(ctx: Context) -> None:
        words = [*musl.unpack(ctx).make_arguments(), f"MCP={ctx.project / 'mcp/include/uapi'}"]
        for program, folder in PROGRAMS.items():
            objects = ctx.work / program
            ctx.run(["make", "-C", ctx.project / folder, f"-j{ctx.jobs}", *words, f"OUT={objects}", "all"])
            ctx.run(["cp", objects / program, ctx.out / program])
            musl.check_static(ctx.out / program)
