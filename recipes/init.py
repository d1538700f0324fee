# SPDX-License-Identifier: MIT
"""PID 1 and its companions: static programs in C, against musl.

Outputs: init, report, growdata. `test: true` in an image file builds an init that takes deliberate faults from
the kernel command line (init/testhooks.c); a product image never does.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from protopi.errors import StepError
from protopi.recipe import Inputs, Recipe
from recipes import musl

if TYPE_CHECKING:
    from protopi.step import Context

PROGRAMS = ("init", "report", "growdata")
#: A string that only the test hooks have.
HOOK = b"protopi.test="


class Init(Recipe):
    """PID 1, the console report service, and the program that grows the data partition."""

    name = "init"
    summary = "PID 1, console report, growing of the data partition"
    licence = "MIT"

    def inputs(self) -> Inputs:
        return Inputs(
            debs={musl.LOCK_SET: musl.PACKAGES},
            files=("init", "mcp/include"),
            params={"test": self.image.test},
        )

    @staticmethod
    def build(ctx: Context) -> None:
        built = ctx.work / "out"
        test = "TEST=1" if ctx.params["test"] else "TEST="
        arguments = [*musl.unpack(ctx).make_arguments(), f"OUT={built}", test]
        ctx.run(["make", "-C", ctx.project / "init", f"-j{ctx.jobs}", *arguments])
        for name in PROGRAMS:
            musl.check_static(built / name)
            shutil.copy(built / name, ctx.out / name)
        if (HOOK in (ctx.out / "init").read_bytes()) != ctx.params["test"]:
            raise StepError("init has test hooks in a product image, or lacks them in a test image")
