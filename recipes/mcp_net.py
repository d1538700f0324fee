# SPDX-License-Identifier: MIT
"""mcp_net.ko, MCP in Ethernet frames; mcp-net, which binds it; mcp-xdp, which drops bad frames at the door; and tests.

Outputs: mcp_net.ko (stripped of debug information), mcp-net (static, arm64), mcp-xdp (likewise, the XDP program
within), selftests/NAME (static, arm64, TAP on standard output).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from protopi.recipe import Inputs, Recipe
from recipes import external_module, musl
from recipes.kernel import Kernel
from recipes.mcp_module import SYMBOLS, McpModule

if TYPE_CHECKING:
    from protopi.step import Context

#: Each program, and the folder of its Makefile.
PROGRAMS = {"mcp-net": "mcp/net/tool", "mcp-xdp": "mcp/xdp"}
MODULE = "mcp_net.ko"
#: It has no kfuncs and no struct_ops.
BTF = False


class McpNet(Recipe):
    """The network module for exactly one kernel, and the programs that go with it."""

    name = "mcp_net"
    summary = "MCP in Ethernet frames: mcp_net.ko, mcp-net, mcp-xdp, and their tests"
    licence = "GPL-2.0-only"

    def inputs(self) -> Inputs:
        return Inputs(
            needs=(Kernel(self.image), McpModule(self.image)),
            debs={musl.LOCK_SET: musl.PACKAGES},
            files=("mcp/net", "mcp/xdp", "mcp/include", "mcp/kernel", "mcp/fuzz/kcov"),
        )

    @staticmethod
    def build(ctx: Context) -> None:
        devel = external_module.unpack_devel(ctx)
        # kbuild writes beside the sources, and the project is read-only.
        shutil.copytree(ctx.project / "mcp", ctx.work / "mcp")
        symbols = ctx.input("mcp_module") / SYMBOLS
        source = ctx.work / "mcp/net"
        module = external_module.build_module(ctx, devel, source, "mcp_net", btf=BTF, symbols=symbols)
        external_module.check_module(ctx, module, btf=BTF)
        external_module.strip_module(ctx, module)

        uapi = f"MCP={ctx.work / 'mcp/include/uapi'}"
        external_module.build_selftests(ctx, ctx.work / "mcp/net/selftests", uapi)
        # musl was unpacked for the tests.
        libc = musl.Musl(ctx.work / "musl", ctx.work / "uapi")
        # They use files of both modules' tests, and are tests themselves.
        words = [*libc.make_arguments(), f"OUT={ctx.out / 'selftests'}"]
        ctx.run(["make", "-C", ctx.work / "mcp/fuzz/kcov", *words, "all"])
        for program, folder in PROGRAMS.items():
            objects = ctx.work / program
            words = [*libc.make_arguments(), uapi, f"DEVEL={devel}", f"OUT={objects}"]
            ctx.run(["make", "-C", ctx.work / folder, *words, "all"])
            shutil.copy2(objects / program, ctx.out / program)
            musl.check_static(ctx.out / program)
