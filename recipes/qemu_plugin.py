# SPDX-License-Identifier: MIT
"""protopi-count.so: the QEMU plug-in that counts executed guest instructions, for the machine that runs QEMU.

Output: protopi-count.so. QEMU resolves its symbols when it loads the plug-in; here it is checked that it needs
none that the tools tree's QEMU lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi.errors import StepError
from protopi.recipe import Inputs, Recipe

if TYPE_CHECKING:
    from protopi.step import Context

OUTPUT = "protopi-count.so"
QEMU = "/usr/bin/qemu-system-aarch64"
CFLAGS = ("-std=c17", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden")


class QemuPlugin(Recipe):
    """The instruction counter of the boot gate."""

    name = "qemu_plugin"
    summary = "QEMU plug-in that counts executed instructions"
    licence = "MIT"

    def inputs(self) -> Inputs:
        return Inputs(files=("boards/plugin",))

    @staticmethod
    def build(ctx: Context) -> None:
        source = ctx.project / "boards/plugin/protopi_count.c"
        target = ctx.out / OUTPUT
        ctx.run(["gcc", *CFLAGS, "-shared", "-s", "-Wl,--build-id=none", "-o", target, source])
        needed = symbols(ctx, "--undefined-only", str(target))
        missing = needed - symbols(ctx, "--defined-only", QEMU)
        if missing:
            raise StepError(f"{QEMU} does not offer {', '.join(sorted(missing))}")


def symbols(ctx: Context, which: str, path: str) -> set[str]:
    """Dynamic symbols of the plug-in interface in an ELF file; `which` is nm's option."""
    lines = ctx.run(["nm", "-D", which, path], capture=True).splitlines()
    return {name for name in (line.split()[-1] for line in lines if line) if name.startswith("qemu_plugin_")}
