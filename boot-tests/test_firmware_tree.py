# SPDX-License-Identifier: MIT
"""The tree that QEMU gets from a real card: overlays of config.txt in their order, and the firmware's words."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from protopi import layout
from protopi.boot.firmware import Card, FirmwareRefusal, FirmwareState
from protopi.boot.qemu import Options, command
from protopi.boot.tools import run
from protopi.sandbox import Bind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
RUN = "/host/run"
OVERLAYS = {
    "first": '&{/chosen} { own-name = "first"; first; };',
    "second": '&{/chosen} { own-name = "second"; second; };',
    "lost": "&no_such_label { lost; };",
}


@pytest.fixture(scope="module")
def card(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[BuiltImage, Path, Path]]:
    """`card("first", "second")`: the pi4 image, a card with these overlays, and a folder for QEMU's files."""
    image = built("pi4")
    folder = tmp_path_factory.mktemp("tree")
    bind = [Bind(folder, RUN, writable=True)]
    path = folder / "card.img"
    shutil.copyfile(image.path, path)
    with Card(path) as opened:
        fat = f"{RUN}/card.img@@{opened.partition(layout.BOOT_A).offset}"
        config = opened.fat(layout.BOOT_A).read("config.txt")
    run(image.tools, ["mmd", "-i", fat, "::overlays"], bind)
    for name, text in OVERLAYS.items():
        (folder / f"{name}.dtso").write_text(f"/dts-v1/;\n/plugin/;\n{text}\n")
        run(image.tools, ["dtc", "-q", "-@", "-O", "dtb", "-o", f"{RUN}/{name}.dtbo", f"{RUN}/{name}.dtso"], bind)
        run(image.tools, ["mcopy", "-i", fat, f"{RUN}/{name}.dtbo", f"::overlays/{name}.dtbo"], bind)

    def make(*names: str) -> tuple[BuiltImage, Path, Path]:
        lines = "".join(f"dtoverlay={name}\n" for name in names)
        (folder / "config.txt").write_bytes(config + lines.encode())
        run(image.tools, ["mcopy", "-o", "-i", fat, f"{RUN}/config.txt", "::config.txt"], bind)
        return image, path, folder

    return make


def cell(image: BuiltImage, folder: Path, node: str, name: str) -> str:
    """The value of a property in the tree that QEMU would get."""
    return run(image.tools, ["fdtget", f"{RUN}/qemu.dtb", node, name], [Bind(folder, RUN, writable=True)]).strip()


def properties(image: BuiltImage, folder: Path) -> list[str]:
    """The names of the properties of /chosen."""
    listing = ["fdtget", "-p", f"{RUN}/qemu.dtb", "/chosen"]
    return run(image.tools, listing, [Bind(folder, RUN, writable=True)]).split()


def test_overlays_are_merged_in_the_order_of_the_file(card: Callable[..., tuple[BuiltImage, Path, Path]]) -> None:
    for names in (("first", "second"), ("second", "first"), ("second",)):
        image, path, folder = card(*names)
        command(path, image.board, image.tools, folder, Options(), serial=())
        assert cell(image, folder, "/chosen", "own-name") == names[-1]
        assert {name for name in OVERLAYS if name in properties(image, folder)} == set(names)


def test_an_overlay_that_does_not_fit_is_refused(card: Callable[..., tuple[BuiltImage, Path, Path]]) -> None:
    image, path, folder = card("first", "lost")
    with pytest.raises(FirmwareRefusal, match=r"overlay lost does not fit the tree"):
        command(path, image.board, image.tools, folder, Options(), serial=())


def test_the_tree_says_which_boot_it_is(card: Callable[..., tuple[BuiltImage, Path, Path]]) -> None:
    image, path, folder = card()
    for state, rsts in ((FirmwareState(), 0x1000), (FirmwareState(partition=2), 0x1004)):
        command(path, image.board, image.tools, folder, Options(state=state), serial=())
        node = "/chosen/bootloader"
        assert cell(image, folder, node, "partition") == "2"
        assert cell(image, folder, node, "tryboot") == "0"
        assert cell(image, folder, node, "rsts") == str(rsts)
