# SPDX-License-Identifier: MIT
"""mcp.ko: the MCP transport, built outside the kernel's tree against its devel.tar; and its selftests.

Outputs: mcp.ko (stripped of debug information), selftests/NAME (static, arm64, TAP on standard output).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from protopi.errors import StepError
from protopi.recipe import Inputs, Recipe
from recipes import musl
from recipes.kernel import Kernel

if TYPE_CHECKING:
    from pathlib import Path

    from protopi.step import Context

#: mcp.ko has no struct_ops and no kfuncs yet, so nobody needs its BTF, and the first module with BTF makes the
#: kernel parse all of its own: see docs/decisions. What does need it will be a module that is loaded after ready.
BTF = False


class McpModule(Recipe):
    """The Model Context Protocol transport, as a module for exactly one kernel."""

    name = "mcp_module"
    summary = "the MCP transport mcp.ko, and its tests"
    licence = "GPL-2.0-only"

    def inputs(self) -> Inputs:
        return Inputs(
            needs=(Kernel(self.image),),
            debs={musl.LOCK_SET: musl.PACKAGES},
            files=("mcp/kernel", "mcp/include"),
        )

    @staticmethod
    def build(ctx: Context) -> None:
        kernel = ctx.input("kernel")
        ctx.run(["tar", "-C", ctx.work, "-xf", kernel / "devel.tar"])
        # kbuild writes beside the sources, and the project is read-only.
        shutil.copytree(ctx.project / "mcp", ctx.work / "mcp")
        module = build_module(ctx, ctx.work / "linux-devel", ctx.work / "mcp/kernel")
        check_module(ctx, module, (kernel / "release").read_text().strip())
        ctx.run([f"{musl.CROSS}strip", "--strip-debug", "-o", ctx.out / "mcp.ko", module])
        build_selftests(ctx)


def build_module(ctx: Context, devel: Path, source: Path) -> Path:
    """Run kbuild with all warnings as errors; returns the module."""
    arguments = ["ARCH=arm64", f"CROSS_COMPILE={musl.CROSS}", "W=1", "KCFLAGS=-Werror", f"M={source}"]
    if not BTF:
        arguments.append("CONFIG_DEBUG_INFO_BTF_MODULES=")
    # Through a shell, because what is looked for below is said on standard error.
    make: list[str | Path] = ["make", "-C", devel, f"-j{ctx.jobs}", *arguments, "modules"]
    output = ctx.run(["sh", "-c", 'exec "$0" "$@" 2>&1', *make], capture=True)
    print(output)
    # kbuild takes a missing vmlinux or resolve_btfids for a reason to go on without BTF; we do not.
    if "Skipping BTF" in output:
        raise StepError("the kernel's devel.tar lacks what makes BTF: vmlinux or resolve_btfids")
    return source / "mcp.ko"


def check_module(ctx: Context, module: Path, release: str) -> None:
    """Raise StepError unless the module was made for this kernel, with BTF only where that is meant."""
    magic = ctx.run(["modinfo", "-F", "vermagic", module], capture=True).split()
    if not magic or magic[0] != release:
        raise StepError(f"mcp.ko is made for {magic[:1]}, the kernel is {release}")
    sections = ctx.run([f"{musl.CROSS}readelf", "-SW", module], capture=True)
    if (" .BTF " in sections) != BTF:
        raise StepError("mcp.ko " + ("lacks BTF" if BTF else "has BTF"))


def build_selftests(ctx: Context) -> None:
    """Compile every selftest, static."""
    arguments = musl.unpack(ctx).make_arguments()
    target = ctx.out / "selftests"
    target.mkdir()
    folder = ctx.project / "mcp/kernel/selftests"
    ctx.run(["make", "-C", folder, *arguments, f"MCP={ctx.project / 'mcp/include/uapi'}", f"OUT={target}"])
    for program in sorted(target.iterdir()):
        musl.check_static(program)
