# SPDX-License-Identifier: MIT
"""The boot files of one slot, except cmdline.txt (which names the card's disk id: recipes/sdcard.py makes it).

Which firmware: start4.elf. The cut-down start4cd.elf (0.8 MB instead of 2.3 MB, about 0.15 s less to read) has the
code for HDMI and the simple frame buffer too, but Raspberry Pi's documentation warns of "initial framebuffer
limitations", users reported a black HDMI console (firmware issue 1486), it prints no diagnostics (issue 1874), and its
gain on a Pi 4 is contested (issue 1375). HDMI has to work and there is no board here to prove it, so the cut-down pair
is a choice for headless products: `config_txt: {start_cd: 1}` in the image file ships it instead.

Which boards: Pi 4 Model B and Pi 400, each with its tree under the name that the firmware looks for. Compute Modules 4
and 4S are refused by name in config.txt.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jinja2

from protopi import configtxt
from protopi.errors import Problem, StepError, UserErrors
from protopi.recipe import Inputs, Recipe
from recipes.devicetree import DeviceTree
from recipes.kernel import Kernel

if TYPE_CHECKING:
    from pathlib import Path

    from protopi.step import Context

PACKAGE = "raspi-firmware"


class Firmware(Recipe):
    """Outputs: boot/ (a boot partition's files, without cmdline.txt), selector/ (autoboot.txt), boot.json (origins)."""

    name = "firmware"
    summary = "Raspberry Pi firmware, kernel, device trees and config.txt of one boot slot"
    licence = "LicenseRef-Broadcom-Raspberry-Pi AND GPL-2.0-only"

    def inputs(self) -> Inputs:
        return Inputs(
            needs=(Kernel(self.image), DeviceTree(self.image)),
            debs={"sources": (PACKAGE,)},
            files=("image/boot/config.txt.j2", "image/boot/autoboot.txt.j2"),
            params={"image": self.image.name, "config_txt": _config(self.image.config_txt)},
        )

    @staticmethod
    def build(ctx: Context) -> None:
        unpacked = ctx.work / "deb"
        ctx.run(["dpkg-deb", "-x", ctx.debs("sources")[PACKAGE].path, unpacked])
        blobs = unpacked / "usr" / "lib" / "raspi-firmware"
        extra: dict[str, str] = dict(ctx.params["config_txt"])
        cut_down = extra.pop("start_cd", "0") not in ("", "0")
        variant = "4cd" if cut_down else "4"
        boot, selector = ctx.out / "boot", ctx.out / "selector"
        boot.mkdir()
        selector.mkdir()
        for name in (f"start{variant}.elf", f"fixup{variant}.dat"):
            copy(blobs / name, boot / name)
        # The licence asks that its text goes with the binaries.
        copy(unpacked / "usr" / "share" / "doc" / PACKAGE / "copyright", boot / "LICENCE.firmware")
        copy(ctx.input("kernel") / "Image", boot / "Image")
        for tree in sorted(ctx.input("devicetree").glob("*.dtb")):
            copy(tree, boot / tree.name)
        start = boot / f"start{variant}.elf"
        text = render(
            ctx.project / "image/boot/config.txt.j2",
            {"image": ctx.params["image"], "start": start.name, "cut_down": cut_down, "extra": extra},
        )
        check_config(text, start.read_bytes(), start.name, set(extra))
        (boot / "config.txt").write_text(text)
        text = render(ctx.project / "image/boot/autoboot.txt.j2", {"boot_a": 2, "boot_b": 3})
        if len(text) > 512:
            raise StepError(f"autoboot.txt has {len(text)} bytes; the boot loader reads 512")
        (selector / "autoboot.txt").write_text(text)
        described = {path.name: origin(path.name, ctx) for path in sorted(boot.iterdir())}
        (ctx.out / "boot.json").write_text(json.dumps(described, indent=1) + "\n")


def _config(settings: Any) -> dict[str, str]:
    """config_txt as the file wants it: booleans are 1 and 0."""
    return {key: str(int(value)) if isinstance(value, bool) else str(value) for key, value in settings.items()}


def origin(name: str, ctx: Context) -> dict[str, str]:
    """Package, version and licence of a boot file, for the manifest."""
    kernel = {"package": "linux", "version": (ctx.input("kernel") / "release").read_text().strip()}
    if name.startswith(("start", "fixup", "LICENCE")):
        deb = ctx.debs("sources")[PACKAGE]
        return {"package": PACKAGE, "version": deb.version, "licence": "LicenseRef-Broadcom-Raspberry-Pi"}
    if name == "Image":
        return {**kernel, "licence": "GPL-2.0-only WITH Linux-syscall-note"}
    if name.endswith(".dtb"):
        return {**kernel, "licence": "GPL-2.0-only OR BSD-2-Clause"}
    return {"package": "protopi", "version": "", "licence": "MIT"}


def copy(source: Path, target: Path) -> None:
    """Copy a file's bytes; a missing one is a fault of the package, said by name."""
    if not source.exists():
        raise StepError(f"{source.name} is not where it should be ({source})")
    target.write_bytes(source.read_bytes())


def render(template: Path, values: dict[str, Any]) -> str:
    """Render a template; a name it uses and nobody gave is an error. Raises StepError."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(template.read_text()).render(values)
    except jinja2.TemplateError as error:
        raise StepError(f"{template.name}: {error}") from error


def check_config(text: str, start: bytes, name: str, own: set[str]) -> None:
    """Every key must be known to the firmware that is shipped, and every line be one that it reads.

    `own` are the keys that the image file gave: for these the user is told. Raises UserErrors or StepError.
    """
    configtxt.settings(text)
    unknown = configtxt.unknown_keys(text, start)
    users = [
        Problem(f"{name} knows no key {key}", key=f"config_txt.{key}", hint="see Raspberry Pi's config.txt pages")
        for key, _ in unknown
        if key in own
    ]
    if users:
        raise UserErrors(users)
    if unknown:
        raise StepError("; ".join(f"{where}: {name} knows no key {key}" for key, where in unknown))
