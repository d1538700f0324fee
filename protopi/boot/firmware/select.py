# SPDX-License-Identifier: MIT
"""Which partition the EEPROM's bootloader boots from, and which file it takes for config.txt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi import configtxt
from protopi.boot.firmware.card import FAT_TYPES, refusal
from protopi.boot.firmware.state import HALT
from protopi.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protopi.boot.firmware.card import Card
    from protopi.boot.firmware.state import FirmwareState

#: "autoboot.txt is limited to 512 bytes and supports the [all], [none] and [tryboot] conditional filters."
AUTOBOOT_SIZE = 512
AUTOBOOT_SECTIONS = ("all", "none", "tryboot")
AUTOBOOT_KEYS = ("boot_partition", "tryboot_a_b")
#: "MBR partitions are 1 to 4."
PRIMARY = range(1, 5)


@dataclass(frozen=True, slots=True)
class Choice:
    """The boot partition's number, the name of its config file, and whether the partition walk had to find it."""

    partition: int
    config_name: str
    walked: bool = False


def choose(card: Card, model: str, state: FirmwareState, *, walk: bool) -> Choice:
    """Choose as the bootloader does; `walk` is the EEPROM's PARTITION_WALK. Raises FirmwareRefusal, UserError."""
    if state.partition == HALT:
        raise refusal("partition 63 was asked for, which means: stay off", "rsts")
    first = _first_fat(card)
    auto = _autoboot(card, first, model, tryboot=state.tryboot)
    # "... unless the partition number was already specified as a parameter to the reboot command" [autoboot]
    number = state.partition or _number(auto.get("boot_partition", "0"), "boot_partition") or first
    if number not in PRIMARY:
        raise refusal(f"partition {number} is asked for; MBR partitions are 1 to 4", "autoboot: boot_partition")
    # With tryboot_a_b=1 the normal config.txt is loaded from the other partition [autoboot: tryboot_a_b].
    a_b = _number(auto.get("tryboot_a_b", "0"), "tryboot_a_b") == 1
    name = "tryboot.txt" if state.tryboot and not a_b else "config.txt"
    reason = _unbootable(card, number)
    if not reason:
        return Choice(number, name)
    other = _walk(card, number)
    if walk and other:
        return Choice(other, name, walked=True)
    if other:
        reason += f"; PARTITION_WALK=1 would go on to partition {other}, but not every EEPROM has it"
    raise refusal(reason, "walk" if walk else "autoboot: boot_partition")


def _first_fat(card: Card) -> int:
    """ "The default partition, which is the first bootable FAT partition": where autoboot.txt is looked for, too."""
    for part in card.partitions:
        if part.number in PRIMARY and part.type in FAT_TYPES:
            return part.number
    raise refusal("no FAT partition among 1 to 4", "autoboot: boot_partition")


def _autoboot(card: Card, first: int, model: str, *, tryboot: bool) -> Mapping[str, str]:
    """What autoboot.txt says in this boot."""
    selector = card.fat(first)
    if not selector.exists("autoboot.txt"):
        return {}
    raw = selector.read("autoboot.txt")
    if len(raw) > AUTOBOOT_SIZE:
        raise refusal(f"autoboot.txt has {len(raw)} bytes, {AUTOBOOT_SIZE} are read", "autoboot: limited to 512 bytes")
    text = raw.decode("ascii", "replace")
    rows = configtxt.settings(text, name="autoboot.txt", model=model, tryboot=tryboot, sections=AUTOBOOT_SECTIONS)
    for row in rows:
        if row.key not in AUTOBOOT_KEYS:
            raise refusal(f"{row.where}: {row.key} means nothing here", "autoboot")
    return {row.key: row.value for row in rows}


def _number(value: str, key: str) -> int:
    try:
        return int(value, 0)
    except ValueError as error:
        raise refusal(f"{key}={value} is not a number", "format") from error


def _unbootable(card: Card, number: int) -> str:
    """Why a partition cannot be booted from; empty when it can.

    "Bootable partitions must be formatted as FAT12, FAT16 or FAT32 and contain a start.elf" [autoboot]; on a Pi 4 that
    is start4.elf, or the variant that config.txt names in its place.
    """
    if number not in (part.number for part in card.partitions):
        return f"the card has no partition {number}"
    if card.partition(number).type not in FAT_TYPES:
        return f"partition {number} is not of a FAT type"
    try:
        names = {entry.name.lower() for entry in card.fat(number).list()}
    except UserError as error:
        return f"partition {number}: {error}"
    # A start_file with another name is looked for when the partition is loaded.
    if not any(name.startswith("start") and name.endswith(".elf") for name in names):
        return f"partition {number} has no start4.elf"
    return ""


def _walk(card: Card, failed: int) -> int:
    """The partition that PARTITION_WALK=1 finds, 0 for none: "each partition in turn (up to 8 and wrapping to 0)".

    No autoboot.txt is looked at on the way.
    """
    for step in range(1, 9):
        number = (failed + step) % 9
        if number in PRIMARY and not _unbootable(card, number):
            return number
    return 0
