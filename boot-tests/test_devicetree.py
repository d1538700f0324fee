# SPDX-License-Identifier: MIT
"""Is there a driver for all that the shipped device trees enable, and a file for all that the drivers ask for?

Everything is read out of the SD image, as it would be flashed: trees and kernel from its FAT, modules and firmware
from its root file system.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protopi import api, layout
from protopi.boot import firmware
from protopi.boot.tools import run
from protopi.project import Project
from protopi.sandbox import Bind
from protopi.ui import Ui
from recipes.kernel import builtin_compatibles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]
    Tree = Mapping[str, Mapping[str, bytes]]

pytestmark = pytest.mark.image
#: Model as the firmware knows it -> who it is in its tree.
MODELS = {"4b": "raspberrypi,4-model-b", "400": "raspberrypi,400"}

#: Enabled nodes that no driver claims by their `compatible`: pattern of the path -> why that is right.
NO_DRIVER = {
    "/": "names the board; drivers look it up, none binds to it",
    "/cpus/cpu@[0-3]": "the kernel starts the cores by their enable-method",
    "/cpus/l2-cache0": "read by the cache code, which follows next-level-cache",
    "/soc/timer@7e003000": "the ARM's own timer keeps the time; PID 1 and the gate read this one's counter directly",
    "/soc/serial@7e201000": "an AMBA cell: pl011 binds by the identification registers (it probes in QEMU)",
    "/soc/mmc@7e300000/wifi@1": "brcmfmac binds by the SDIO identification; it only reads its interrupt here",
}
#: Hardware that is found on buses which name their devices themselves: what the bus says -> who must answer.
FOUND_BY_BUS = {
    "sdio:c00v02D0dA9BF": "brcmfmac",  # Wi-Fi of the Pi 4 B, CYW43455
    "mdio:01100000000011011000010010100010": "broadcom",  # Ethernet PHY BCM54213PE, 0x600d84a2
    "pci:v00001106d00003483sv00001106sd00003483bc0Csc03i30": "xhci_pci",  # USB 3, VL805
}

#: Firmware files that a packaged driver names and that the image does not have: pattern of the name -> why.
#: The patterns are matched against what the driver says, in which `*` is a character like any other.
NO_FIRMWARE = {
    r"brcm/brcmfmac43456-sdio\.bin": "Wi-Fi of the Pi 400: Debian has no file for this chip (docs/hardware.md)",
    r"brcm/brcmfmac(?!4345[56]-)\d\w*-sdio\.(bin|clm_blob)": "chips of other boards",
    r"brcm/brcmfmac\*-sdio\.\*\.bin": "a board's own variant, asked for first; the chip's common file is what there is",
    r"rtl_nic/rtl815[36]\w+-\d\.fw": "USB network adapters: patches to a chip that works without them",
}


@dataclass(frozen=True, slots=True)
class Shipped:
    """What an image holds: the kernel's device-tree strings, its root file system unpacked, and its modules' folder."""

    image: BuiltImage
    builtin: frozenset[str]
    root: Path
    modules: Path

    @property
    def aliases(self) -> list[tuple[str, str]]:
        """Pattern and module, from modules.alias as packaged; only modules that are in the image."""
        packaged = {path.stem.replace("-", "_") for path in self.modules.rglob("*.ko")}
        rows = (line.split() for line in (self.modules / "modules.alias").read_text().splitlines())
        return [(row[1], row[2]) for row in rows if row[:1] == ["alias"] and row[2].replace("-", "_") in packaged]

    @property
    def compatibles(self) -> frozenset[str]:
        """Device-tree strings that some driver in the image answers to."""
        found = (re.fullmatch(r"of:N\*T\*C(.+?)(?:C\*)?", pattern) for pattern, _ in self.aliases)
        return self.builtin | {match[1] for match in found if match}


@functools.cache
def _unpack(image: BuiltImage, folder: Path) -> Shipped:
    with firmware.Card(image.path) as card:
        offset = card.partition(layout.ROOT_A).offset
    binds = [Bind(image.path.parent, "/host/image"), Bind(folder, "/host/run", writable=True)]
    source = f"/host/image/{image.path.name}"
    run(image.tools, ["fsck.erofs", f"--offset={offset}", "--no-preserve", "--extract=/host/run/root", source], binds)
    (modules,) = (folder / "root/usr/lib/modules").iterdir()
    builtin = frozenset(builtin_compatibles(firmware.boot(image.path).kernel))
    return Shipped(image, builtin, folder / "root", modules)


@pytest.fixture(scope="module")
def shipped(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """The pi4 image, unpacked once."""
    return _unpack(built("pi4"), tmp_path_factory.mktemp("shipped"))


def decode(blob: bytes) -> dict[str, dict[str, bytes]]:
    """Path -> properties of a flattened tree (Devicetree Specification 0.4, chapter 5)."""
    begin, end, prop, nop, last = 1, 2, 3, 4, 9
    magic, _, at, strings = struct.unpack_from(">4I", blob)
    assert magic == 0xD00DFEED
    found: dict[str, dict[str, bytes]] = {}
    names: list[str] = []
    while True:
        (token,) = struct.unpack_from(">I", blob, at)
        at += 4
        if token == begin:
            stop = blob.index(b"\0", at)
            names.append(blob[at:stop].decode())
            at = stop + 4 & ~3
            found["/".join(names) or "/"] = {}
        elif token == end:
            names.pop()
        elif token == prop:
            size, name = struct.unpack_from(">2I", blob, at)
            at += 8
            key = blob[strings + name : blob.index(b"\0", strings + name)].decode()
            found["/".join(names) or "/"][key] = blob[at : at + size]
            at = at + size + 3 & ~3
        elif token == last:
            return found
        else:
            assert token == nop


def enabled(tree: Tree, path: str) -> bool:
    """Neither the node nor one above it has another status than "okay"."""
    chain = [path]
    while chain[-1] not in ("", "/"):
        chain.append(chain[-1].rpartition("/")[0] or "/")
    return all(tree[node].get("status", b"okay\0") in (b"okay\0", b"ok\0") for node in chain)


def unclaimed(tree: Tree, compatibles: frozenset[str]) -> list[str]:
    """The enabled nodes that name a device which no driver answers to."""
    found = []
    for path, properties in tree.items():
        if "compatible" in properties and enabled(tree, path):
            strings = set(properties["compatible"].decode().rstrip("\0").split("\0"))
            if not strings & compatibles:
                found.append(path)
    return sorted(found)


@pytest.fixture
def trees(shipped: Shipped) -> dict[str, Tree]:
    """The shipped trees by model."""
    return {model: decode(firmware.boot(shipped.image.path, model=model).dtb) for model in MODELS}


def test_each_model_gets_its_own_tree(trees: Mapping[str, Tree]) -> None:
    for model, name in MODELS.items():
        assert trees[model]["/"]["compatible"].decode().split("\0")[0] == name


@pytest.mark.parametrize("model", MODELS)
def test_every_enabled_node_has_a_driver(model: str, trees: Mapping[str, Tree], shipped: Shipped) -> None:
    left = unclaimed(trees[model], shipped.compatibles)
    assert [path for path in left if not any(fnmatch.fnmatchcase(path, known) for known in NO_DRIVER)] == []
    assert len([path for path in trees[model] if enabled(trees[model], path)]) > 50


def test_no_exception_for_a_node_is_superfluous(trees: Mapping[str, Tree], shipped: Shipped) -> None:
    left = {path for tree in trees.values() for path in unclaimed(tree, shipped.compatibles)}
    assert [known for known in NO_DRIVER if not fnmatch.filter(left, known)] == []


def test_a_node_without_a_driver_is_found(shipped: Shipped, tmp_path: Path) -> None:
    """Negative control: nodes are added to the shipped tree, and drivers taken away."""
    (tmp_path / "card.dtb").write_bytes(firmware.boot(shipped.image.path).dtb)
    bind = [Bind(tmp_path, "/host/run", writable=True)]
    for node in ("/soc/unknown@0", "/soc/unknown@1", "/soc/unknown@0/below"):
        run(shipped.image.tools, ["fdtput", "-c", "/host/run/card.dtb", node], bind)
        run(shipped.image.tools, ["fdtput", "-t", "s", "/host/run/card.dtb", node, "compatible", "acme,none"], bind)
    tree = decode((tmp_path / "card.dtb").read_bytes())
    before = unclaimed(decode(firmware.boot(shipped.image.path).dtb), shipped.compatibles)
    new = ["/soc/unknown@0", "/soc/unknown@0/below", "/soc/unknown@1"]
    assert unclaimed(tree, shipped.compatibles) == sorted([*before, *new])
    run(shipped.image.tools, ["fdtput", "-t", "s", "/host/run/card.dtb", new[0], "status", "disabled"], bind)
    tree = decode((tmp_path / "card.dtb").read_bytes())
    assert unclaimed(tree, shipped.compatibles) == sorted([*before, "/soc/unknown@1"])
    for driver in ("brcm,bcm2835-spi", "brcm,bcm2711-emmc2"):  # a module's, a built-in's
        assert len(unclaimed(tree, shipped.compatibles - {driver})) == len(before) + 2


@pytest.mark.parametrize("device", FOUND_BY_BUS)
def test_devices_that_buses_find_have_a_driver(device: str, shipped: Shipped) -> None:
    assert FOUND_BY_BUS[device] in {
        module for pattern, module in shipped.aliases if fnmatch.fnmatchcase(device, pattern)
    }


@pytest.fixture(scope="module")
def asked(shipped: Shipped) -> dict[str, set[str]]:
    """Firmware file (or pattern) -> modules that ask for it; from the modules and from the kernel's own list."""
    found: dict[str, set[str]] = {}
    modules = sorted(shipped.modules.rglob("*.ko"))
    assert len(modules) > 50
    bind = [Bind(shipped.modules, "/host/modules")]
    for module in modules:
        if b"firmware=" in module.read_bytes():
            inside = f"/host/modules/{module.relative_to(shipped.modules)}"
            for wanted in run(shipped.image.tools, ["modinfo", "-F", "firmware", inside], bind).split():
                found.setdefault(wanted, set()).add(module.stem)
    session = api.Session(Project.here(), Ui())
    planned = session.plan("pi4")
    with session.builder() as made:
        step = next(step for step in planned.steps if step.name == "kernel")
        kernel = made.build(planned.steps, (step,), "pi4")["kernel"].out
    (own,) = kernel.glob("modules/lib/modules/*/modules.builtin.modinfo")
    entries = own.read_bytes().split(b"\0")
    assert any(b".license=" in entry for entry in entries)
    for driver, _, name in (entry.decode().partition(".firmware=") for entry in entries):
        if name:
            found.setdefault(name, set()).add(driver)
    return found


def missing(asked: Mapping[str, set[str]], root: Path) -> list[str]:
    """What drivers ask for and no file of the image (followed through its links) answers to."""
    files = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and p.stat().st_size]
    return sorted(name for name in asked if not fnmatch.filter(files, name))


def test_every_firmware_file_that_a_driver_asks_for_is_in_the_image(
    asked: dict[str, set[str]], shipped: Shipped
) -> None:
    left = missing(asked, shipped.root / "usr/lib/firmware")
    assert [name for name in left if not any(re.fullmatch(known, name) for known in NO_FIRMWARE)] == []
    assert {"brcm/brcmfmac43455-sdio.bin", "brcm/brcmfmac43455-sdio.clm_blob", "regulatory.db"} <= set(asked)
    assert [known for known in NO_FIRMWARE if not any(re.fullmatch(known, name) for name in left)] == [], "superfluous"


def test_a_missing_firmware_file_is_found(asked: dict[str, set[str]], tmp_path: Path) -> None:
    """Negative control: nothing at all; then a link that leads nowhere."""
    assert missing(asked, tmp_path) == sorted(asked)
    (tmp_path / "regulatory.db").symlink_to("nowhere")
    assert "regulatory.db" in missing(asked, tmp_path)


def test_wi_fi_of_the_4_b_has_the_settings_of_its_board(trees: Mapping[str, Tree], shipped: Shipped) -> None:
    """The driver asks for its settings under the name that the tree gives the board."""
    folder = shipped.root / "usr/lib/firmware/brcm"
    board = trees["4b"]["/"]["compatible"].decode().split("\0")[0]
    assert "boardtype" in (folder / f"brcmfmac43455-sdio.{board}.txt").read_text()
