# SPDX-License-Identifier: MIT
"""Damaged cards: whatever lies on a card, the stand-in boots it or says why not, and never anything else.

Each case takes a good card and damages it: bytes of the partition table, of a FAT, of a directory, or the text of
autoboot.txt or config.txt, put together from words that mean something in other places. What boots must be whole.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protopi.boot import firmware
from protopi.boot.firmware import Boot, FirmwareRefusal, FirmwareState
from tests.cards import FILES, card

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 20_000
ROOM = 400
MARKS = {"autoboot": b"#autoboot\n", "config": b"#config\n"}
WORDS = (
    "[all]", "[none]", "[tryboot]", "[pi4]", "[pi400]", "[cm4]", "[board-type=0x11]", "[EDID=X]", "[gpio4=1]", "[0x12]",
    "[HDMI:0]", "[boot_partition=2]", "[pi", "boot_partition=2", "boot_partition=3", "boot_partition=-1",
    "boot_partition=0x2", "boot_partition=", "tryboot_a_b=1", "tryboot_a_b=", "arm_64bit=1", "arm_64bit=0",
    "kernel=Image", "kernel=/Image", "kernel=", "kernel=kernel8.img", "include config.txt", "include more.txt",
    "include", "os_prefix=new-", "os_prefix=/", "upstream_kernel=1", "initramfs Image followkernel", "initramfs",
    "auto_initramfs=1", "dtoverlay=one", "dtoverlay=", "dtoverlay=../one", "dtparam=spi=on", "start_x=1",
    "start_file=start4.elf", "device_tree=", "cmdline=more.txt", "overlay_prefix=", "=", "x", "\u00e4=1", "#",
)  # fmt: skip


START = {"autoboot": ["boot_partition=2"], "config": ["arm_64bit=1", "kernel=Image"]}
OWN = {
    "autoboot": ("[all]", "[none]", "[tryboot]", "tryboot_a_b=1", "boot_partition=2", "boot_partition=3", "#"),
    "config": ("[all]", "[none]", "[tryboot]", "[pi4]", "[cm4]", "kernel=/Image", "initramfs Image followkernel", "#"),
}


def good(path: Path) -> Path:
    """A card that boots, with room for other text in its two configuration files."""
    config = MARKS["config"] + FILES["config.txt"]
    files = {**FILES, "config.txt": config.ljust(ROOM, b"\n"), "more.txt": b"a\n", "overlays/one.dtbo": FILES["Image"]}
    text = MARKS["autoboot"] + b"tryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
    return card(path, files, FILES, autoboot=text.ljust(ROOM, b"\n"))


def damage(data: bytes, chance: random.Random) -> tuple[str, int, bytes]:
    """What to damage: its name, the place and the bytes to put there."""
    kind = chance.choice(["table", "fat", "autoboot", "config"])
    if kind in MARKS:
        # Half of the files say only what belongs into them, in any order: those are the ones that boot.
        words = OWN[kind] if chance.random() < 0.5 else WORDS
        lines = [*START[kind], *(chance.choice(words) for _ in range(chance.randrange(12)))]
        return kind, data.index(MARKS[kind]), "\n".join(lines).encode()[: ROOM - 1].ljust(ROOM, b"\n")
    if kind == "table":
        return kind, chance.randrange(440, 512), bytes([chance.randrange(256)])
    start = (2048 + 8192 * chance.randrange(3)) * 512
    # Boot sector, first FAT, or the root folder behind two FATs of 24 sectors.
    area, size = chance.choice([(0, 96), (512, 128), (49 * 512, 768)])
    return kind, start + area + chance.randrange(size), chance.randbytes(chance.randrange(1, 5))


def campaign(count: int, folder: Path, play: Callable[..., Boot] = firmware.boot) -> Counter[str]:
    """Damage and boot `count` cards; how often each thing happened, by kind of damage."""
    image = good(folder / "card.img")
    data, chance, seen = image.read_bytes(), random.Random(711), Counter[str]()
    states = [FirmwareState(), FirmwareState(tryboot=True), FirmwareState(partition=3)]
    with image.open("r+b") as file:
        for _ in range(count):
            kind, place, bad = damage(data, chance)
            os.pwrite(file.fileno(), bad, place)
            model, state, walk = chance.choice(["4b", "400"]), chance.choice(states), chance.random() < 0.5
            try:
                boot = play(image, model=model, state=state, partition_walk=walk)
            except FirmwareRefusal:
                seen[f"{kind}: refused"] += 1
            except Exception as error:  # whatever it is, it is what this campaign looks for
                seen[f"wrong: {kind}: {error!r}"] += 1
            else:
                whole = boot.kernel[56:60] == b"ARM\x64" and boot.partition in (1, 2, 3, 4) and "\n" not in boot.cmdline
                seen[f"{kind}: booted" if whole and boot.after == FirmwareState() else f"wrong: {kind}: half"] += 1
            os.pwrite(file.fileno(), data[place : place + len(bad)], place)
    assert firmware.boot(image).partition == 2  # the card is as it was
    return seen


def judge(seen: Counter[str], count: int) -> None:
    print(f"{count} damaged cards: " + ", ".join(f"{what} {number}" for what, number in sorted(seen.items())))
    assert sum(seen.values()) == count
    assert not [what for what in seen if what.startswith("wrong")]
    for kind in ("table", "fat", "autoboot", "config"):
        assert seen[f"{kind}: refused"] > count // 100
        assert seen[f"{kind}: booted"] > count // 100


def test_a_damaged_card_boots_or_is_refused(tmp_path: Path) -> None:
    judge(campaign(COUNT // 10, tmp_path), COUNT // 10)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_all_damaged_cards_boot_or_are_refused(tmp_path: Path) -> None:
    judge(campaign(COUNT, tmp_path), COUNT)


def test_the_campaign_sees_a_stand_in_that_breaks(tmp_path: Path) -> None:
    def broken(image: Path, **how: object) -> Boot:
        boot = firmware.boot(image, **how)  # type: ignore[arg-type]
        if boot.partition == 3:
            raise KeyError("three")
        return boot

    seen = campaign(300, tmp_path, broken)
    assert [what for what in seen if "KeyError" in what]
    with pytest.raises(AssertionError):
        judge(seen, 300)
