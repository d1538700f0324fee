# SPDX-License-Identifier: MIT
"""The device trees that are shipped: the kernel's, with the board's overlay and the image's merged in.

One file is read and no overlay applied when the board starts: each overlay or dtparam costs the firmware 13 to 75 ms.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import boards
from protopi.errors import Problem, StepError, UserError, UserErrors
from protopi.recipe import Inputs, Recipe
from recipes.kernel import Kernel

if TYPE_CHECKING:
    from protopi.step import Context


class DeviceTree(Recipe):
    """Outputs: one merged .dtb for each model that the board's images run on."""

    name = "devicetree"
    summary = "device trees with the board's and the image's overlays merged in"
    licence = "GPL-2.0-only OR BSD-2-Clause"

    def inputs(self) -> Inputs:
        board = boards.load(self.image.board)
        names = {str(path): f"{index}-{path.name}" for index, path in enumerate(self.image.overlays)}
        return Inputs(
            needs=(Kernel(self.image),),
            files=(board.overlay,) if board.overlay else (),
            user_files=names,
            params={"trees": list(board.devicetrees), "overlay": board.overlay, "user": list(names.values())},
        )

    @staticmethod
    def build(ctx: Context) -> None:
        overlays, problems = [], list[Problem]()
        for name in ctx.params["user"]:
            try:
                overlays.append(compile_overlay(ctx, ctx.user(name), name))
            except UserError as error:
                problems += error.problems
        if problems:
            raise UserErrors(problems)
        if ctx.params["overlay"]:
            overlays.insert(0, compile_overlay(ctx, ctx.project / ctx.params["overlay"], "board.dtso"))
        for tree in ctx.params["trees"]:
            source = ctx.input("kernel") / "dtbs" / "broadcom" / tree
            if not source.exists():
                raise StepError(f"the kernel made no {tree}")
            merge(ctx, source, overlays, ctx.out / tree)


def compile_overlay(ctx: Context, source: Path, name: str) -> Path:
    """An overlay as .dtbo. Raises UserError, with dtc's message, when a user's does not compile."""
    if source.suffix == ".dtbo":
        return source
    target = ctx.work / f"{Path(name).stem}.dtbo"
    command: list[str | Path] = [
        "dtc",
        "-@",
        "-I",
        "dts",
        "-O",
        "dtb",
        "-W",
        "no-unit_address_vs_reg",
        "-o",
        target,
        source,
    ]
    said, good = tool(ctx, command)
    if not good:
        own = own_name(name)
        raise UserError(
            f"device-tree overlay {own} does not compile: {said.replace(str(source), own)}",
            key="overlays",
            hint="#include is not available in overlays" if "#include" in source.read_text(errors="replace") else "",
        )
    return target


def own_name(name: str) -> str:
    """The user's own name of an overlay: without the number that keeps two of one name apart."""
    return name.partition("-")[2] if name.split("-")[0].isdigit() else name


def tool(ctx: Context, command: list[str | Path]) -> tuple[str, bool]:
    """Run a program whose complaints are for the user: its last lines of standard error, and whether it succeeded."""
    errors = ctx.work / "errors.txt"
    errors.unlink(missing_ok=True)
    try:
        ctx.run(["sh", "-c", 'exec "$@" 2> "$0"', errors, *command])
        good = True
    except StepError:
        good = False
    lines = errors.read_text(errors="replace").splitlines() if errors.exists() else []
    print("\n".join(lines), flush=True)
    return "; ".join(line.strip() for line in lines if line.strip() and "FATAL" not in line)[-600:], good


def merge(ctx: Context, tree: Path, overlays: list[Path], target: Path) -> None:
    """Apply the overlays to a tree, one after the other, so that a fault names its overlay."""
    now = tree
    for index, overlay in enumerate(overlays):
        step = ctx.work / f"{target.stem}-{index}.dtb"
        said, good = tool(ctx, ["fdtoverlay", "-i", now, "-o", step, overlay])
        if not good:
            raise UserError(
                f"device-tree overlay {own_name(overlay.name)} does not fit {target.name}: {said}",
                key="overlays",
                hint="every node or label it names must exist in mainline's tree of that board",
            )
        now = step
    target.write_bytes(now.read_bytes())
