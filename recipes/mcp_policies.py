# SPDX-License-Identifier: MIT
"""mcp_bpf.ko, the policies in eBPF, and mcp-policy, which attaches them; and their tests (mcp/bpf, mcp/policies).

Outputs: mcp_bpf.ko (with BTF, stripped of debug information), mcp-policy (static, arm64, the policies within),
selftests/NAME (static, arm64, TAP on standard output).

libbpf is Debian's, unpacked and never installed. It is built for glibc, so the programs are linked with that of the
cross compiler.
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

PROGRAM = "mcp-policy"
MODULE = "mcp_bpf.ko"
LIBRARIES = ("libbpf-dev", "libelf-dev", "libzstd-dev", "zlib1g-dev")


class McpPolicies(Recipe):
    """Policies of /dev/mcp, for exactly one kernel (the module) and for any with the same types (the programs)."""

    name = "mcp_policies"
    summary = "policies in eBPF: mcp_bpf.ko, mcp-policy, and their tests"
    licence = "GPL-2.0-only"

    def inputs(self) -> Inputs:
        return Inputs(
            needs=(Kernel(self.image), McpModule(self.image)),
            debs={musl.LOCK_SET: LIBRARIES},
            files=("mcp/bpf", "mcp/include", "mcp/kernel", "mcp/policies"),
        )

    @staticmethod
    def build(ctx: Context) -> None:
        devel = external_module.unpack_devel(ctx)
        # kbuild writes beside the sources, and the project is read-only.
        shutil.copytree(ctx.project / "mcp", ctx.work / "mcp")
        symbols = ctx.input("mcp_module") / SYMBOLS
        source = ctx.work / "mcp/bpf"
        module = external_module.build_module(ctx, devel, source, "mcp_bpf", btf=True, symbols=symbols)
        external_module.strip_module(ctx, module)
        external_module.check_module(ctx, ctx.out / MODULE, btf=True)

        libraries = ctx.work / "libraries"
        for package in LIBRARIES:
            ctx.run(["dpkg-deb", "-x", ctx.debs(musl.LOCK_SET)[package].path, libraries])
        objects = ctx.work / "policies"
        ctx.run(["make", "-C", ctx.work / "mcp/policies", f"-j{ctx.jobs}", f"OUT={objects}", f"CC={musl.CROSS}gcc",
                 f"VMLINUX={devel / 'vmlinux'}", f"MODULE={module}", f"LIBBPF={libraries / 'usr'}", "all"])  # fmt: skip
        shutil.copy2(objects / PROGRAM, ctx.out / PROGRAM)
        musl.check_static(ctx.out / PROGRAM)
        (ctx.out / "selftests").mkdir()
        for program in sorted((objects / "selftests").iterdir()):
            shutil.copy2(program, ctx.out / "selftests")
            musl.check_static(program)
