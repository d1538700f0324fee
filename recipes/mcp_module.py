# SPDX-License-Identifier: MIT
"""mcp.ko: the MCP transport, built outside the kernel's tree against its devel.tar; and its selftests.

Outputs: mcp.ko (stripped of debug information), Module.symvers (what it exports to mcp_bpf.ko), selftests/NAME
(static, arm64, TAP on standard output).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from protopi.recipe import Inputs, Recipe
from recipes import external_module, musl
from recipes.kernel import Kernel

if TYPE_CHECKING:
    from pathlib import Path

    from protopi.step import Context

#: mcp.ko has no struct_ops and no kfuncs, so nobody needs its BTF, and the first module with BTF makes the kernel parse
#: all of its own: see docs/decisions. What does need it is mcp_bpf.ko (recipes/mcp_policies.py), loaded on demand.
BTF = False
SYMBOLS = "Module.symvers"


def check_generated(ctx: Context, devel: Path) -> None:
    """Make the C of mcp/netlink/mcp.yaml again, in the copy, and refuse to build when it is not what is kept."""
    ctx.run(["python3", ctx.work / "mcp/netlink/generate.py", devel, ctx.work / "mcp"])
    ctx.run(["diff", "-ru", ctx.project / "mcp", ctx.work / "mcp"])


class McpModule(Recipe):
    """The Model Context Protocol transport, as a module for exactly one kernel."""

    name = "mcp_module"
    summary = "the MCP transport mcp.ko, and its tests"
    licence = "GPL-2.0-only"

    def inputs(self) -> Inputs:
        return Inputs(
            needs=(Kernel(self.image),),
            debs={musl.LOCK_SET: musl.PACKAGES},
            files=("mcp/kernel", "mcp/include", "mcp/netlink"),
        )

    @staticmethod
    def build(ctx: Context) -> None:
        devel = external_module.unpack_devel(ctx)
        # kbuild writes beside the sources, and the project is read-only.
        shutil.copytree(ctx.project / "mcp", ctx.work / "mcp")
        check_generated(ctx, devel)
        module = external_module.build_module(ctx, devel, ctx.work / "mcp/kernel", "mcp", btf=BTF)
        external_module.check_module(ctx, module, btf=BTF)
        external_module.strip_module(ctx, module)
        shutil.copy2(module.parent / SYMBOLS, ctx.out / SYMBOLS)
        selftests = ctx.project / "mcp/kernel/selftests"
        external_module.build_selftests(ctx, selftests, f"MCP={ctx.project / 'mcp/include/uapi'}")
