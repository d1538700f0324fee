# SPDX-License-Identifier: MIT
"""protopi_firmware.ko: tryboot, boot partition and system timer of the Raspberry Pi's firmware; and its selftests.

Outputs: protopi_firmware.ko (stripped of debug information), selftests/timer_test and selftests/restart (static,
arm64). The third selftest needs no Pi: it runs here, under the sanitizers, and nothing is built when it fails.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from protopi.recipe import Inputs, Recipe
from recipes import external_module, musl
from recipes.kernel import Kernel

if TYPE_CHECKING:
    from protopi.step import Context

NAME = "protopi_firmware"
#: PID 1 loads it before it says when ready was (docs/firmware.md), and nothing of eBPF looks into it.
BTF = False


class FirmwareModule(Recipe):
    """What the Pi's firmware offers and mainline does not use, as a module for exactly one kernel."""

    name = "firmware_module"
    summary = "the firmware driver protopi_firmware.ko, and its tests"
    licence = "GPL-2.0-only"

    def inputs(self) -> Inputs:
        return Inputs(
            needs=(Kernel(self.image),),
            debs={musl.LOCK_SET: musl.PACKAGES},
            files=("drivers/firmware",),
        )

    @staticmethod
    def build(ctx: Context) -> None:
        # kbuild writes beside the sources, and the project is read-only.
        source = ctx.work / "firmware"
        shutil.copytree(ctx.project / "drivers/firmware", source)
        ctx.run(["make", "-C", source / "selftests", "host", f"OUT={ctx.work}"])
        ctx.run([ctx.work / "command_test"])
        devel = external_module.unpack_devel(ctx)
        module = external_module.build_module(ctx, devel, source, NAME, btf=BTF)
        external_module.check_module(ctx, module, btf=BTF)
        external_module.strip_module(ctx, module)
        external_module.build_selftests(ctx, source / "selftests")
