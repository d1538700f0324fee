# SPDX-License-Identifier: MIT
"""Which disk may be written: one table, and what the table does not allow is refused.

Pure: a machine and a wish in, objections out. A disk may be written only when no row objects. The rows marked `lifted`
do not object to a disk whose serial is registered in the board file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi.errors import UserError
from protopi.flash.disks import CARD_BUSES, SECTOR

if TYPE_CHECKING:
    from protopi.flash.disks import Disk, Machine, Node, Roots

#: Cards of today end below this; what is larger is more likely somebody's backup.
LARGEST = 256 * 10**9
#: blkid's types that are no plain file system and yet no part of anything larger.
_LOOSE = ("swap",)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be written: its length in bytes, and the serials that the board file registers."""

    needed: int = 0
    registered: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what it is about, and its objection to a disk ("" for none)."""

    name: str
    objection: Callable[[Disk, Machine, Wish], str]
    lifted: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a disk is refused: the row's name, and the reason with what to do about it."""

    rule: str
    reason: str


def _no_medium(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    return "" if disk.size else "no card is in it"


def _backs(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    return f"this system lives on it: {', '.join(disk.backs)}" if disk.backs else ""


def _untraced(_disk: Disk, machine: Machine, _wish: Wish) -> str:
    if not machine.untraced:
        return ""
    what, why = next(iter(machine.untraced.items()))
    return f"which disk {what} lies on cannot be told ({why}): register the card's serial in a board file"


def _mounted(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    used = [(node.name, point) for node in disk.nodes for point in node.mounted]
    if not used:
        return ""
    # To unmount a part of this system is no advice.
    advice = f": unmount it (umount {used[0][1]})" if disk.bus in CARD_BUSES and not disk.backs else ""
    return f"mounted: {', '.join(f'{name} at {point}' for name, point in used)}{advice}"


def _swap(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    used = [node.name for node in disk.nodes if node.swap]
    return f"swapped to: {', '.join(used)}" if used else ""


def _held(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    held = [f"{node.name} by {name}" for node in disk.nodes for name in node.above]
    return f"held: {', '.join(held)}: take that apart first" if held else ""


def _member(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    """Part of an array, a pool or an encrypted volume; whether that is in use cannot always be seen (ZFS)."""

    def bad(node: Node) -> bool:
        found = node.signature
        return found is not None and (
            found.several
            or found.type == "zfs_member"
            or bool(found.type and found.usage != "filesystem" and found.type not in _LOOSE)
        )

    members = [node for node in disk.nodes if bad(node)]
    if not members:
        return ""
    what = ", ".join(f"{node.name} holds {node.signature}" for node in members)
    return f"{what}: if it is really not needed any more, wipefs --all /dev/{members[0].name}"


def _unread(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    unread = [node for node in disk.nodes if node.unread]
    if unread:
        return f"what is on it cannot be read ({unread[0].name}: {unread[0].unread}): run as a user that may"
    if disk.size and disk.bus in CARD_BUSES and any(n.signature is None for n in (disk.nodes[0], *disk.partitions)):
        return "what is on it was not read"
    return ""


def _bus(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    return "" if disk.bus in CARD_BUSES else f"not a card: it hangs on {disk.bus}, not on {' or '.join(CARD_BUSES)}"


def _fixed(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    return "" if disk.removable or disk.bus == "mmc" else "not removable: a fixed disk, not a card in a reader"


def _kind(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    """SCSI's type 0 is a disk (5 is a CD drive); of an mmc host, SD and MMC are memory."""
    known = {"usb": ("0",), "mmc": ("SD", "MMC")}.get(disk.bus)
    return "" if known is None or disk.kind in known else f"no memory card: the kernel calls it type {disk.kind!r}"


def _boot_area(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    return "a boot area of an eMMC" if disk.boot_area else ""


def _emmc(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    """An eMMC is soldered in: on a Chromebook or a board it is the computer's own disk."""
    if disk.kind != "MMC" or disk.boot_area:
        return ""
    return f"an eMMC, not an SD card: register its serial ({disk.serial}) in a board file if it is meant"


def _read_only(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    return "write-protected: look at the switch on the card's side" if disk.read_only else ""


def _too_large(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    if disk.size <= LARGEST:
        return ""
    over = f"{disk.size // 10**9} GB is more than {LARGEST // 10**9}"
    if disk.bus not in CARD_BUSES:
        return over
    who = f"its serial ({disk.serial})" if disk.serial else "the reader (it states no serial: use another one)"
    return f"{over}: register {who} in a board file if it is meant"


def _too_small(disk: Disk, _machine: Machine, wish: Wish) -> str:
    return f"too small: {disk.size} bytes, the image has {wish.needed}" if 0 < disk.size < wish.needed else ""


def _sectors(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    return "" if disk.sector == SECTOR else f"sectors of {disk.sector} bytes: a Pi boots from {SECTOR}"


def _nameless(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    if disk.by_id:
        return ""
    return "no name in /dev/disk/by-id: udev does not run here, or another disk has the same name"


def _unnumbered(disk: Disk, _machine: Machine, _wish: Wish) -> str:
    return "" if disk.sequence is not None else "no disk sequence number: it takes Linux 5.15 to see a disk swapped"


def _twins(disk: Disk, machine: Machine, _wish: Wish) -> str:
    if not disk.serial:
        return ""
    twins = [
        other.name
        for other in machine.disks
        if other.name != disk.name and other.size and not other.boot_area
        and (other.serial, other.bus, other.lun) == (disk.serial, disk.bus, disk.lun)
    ]  # fmt: skip
    return f"{', '.join(twins)} has the same serial {disk.serial}: pull one of them out" if twins else ""


#: The one decision table. What has no row here that allows it does not exist: see `_bus`, `_fixed` and `_kind`.
TABLE: tuple[Rule, ...] = (
    Rule("backs", _backs),
    Rule("mounted", _mounted),
    Rule("swap", _swap),
    Rule("held", _held),
    Rule("bus", _bus),
    Rule("fixed", _fixed),
    Rule("kind", _kind),
    Rule("boot area", _boot_area),
    Rule("emmc", _emmc, lifted=True),
    Rule("too large", _too_large, lifted=True),
    Rule("no medium", _no_medium),
    Rule("too small", _too_small),
    Rule("read-only", _read_only),
    Rule("sectors", _sectors),
    Rule("member", _member),
    Rule("unread", _unread),
    Rule("nameless", _nameless),
    Rule("unnumbered", _unnumbered),
    Rule("twins", _twins),
    Rule("untraced", _untraced, lifted=True),
)


def registered(disk: Disk, wish: Wish) -> bool:
    """Whether the board file names this disk's serial."""
    return bool(disk.serial) and disk.serial in wish.registered


def refusals(disk: Disk, machine: Machine, wish: Wish) -> tuple[Refusal, ...]:
    """Every objection to writing this disk; none: it may be written."""
    known = registered(disk, wish)
    found = []
    for rule in TABLE:
        reason = rule.objection(disk, machine, wish)
        if reason and not (rule.lifted and known):
            found.append(Refusal(rule.name, reason))
    return tuple(found)


def select(machine: Machine, word: str, wish: Wish, roots: Roots) -> Disk:
    """The one disk that is meant: by name ("sdb"), by path, or ("") the one that the board file registers.

    Raises UserError unless there is exactly one, and it may be written.
    """
    disk = _named(machine, word, roots) if word else _registered_one(machine, wish)
    reasons = refusals(disk, machine, wish)
    if reasons:
        lines = "".join(f"\n    - {refusal.reason}" for refusal in reasons)
        raise UserError(f"{disk.name} is refused:{lines}", hint="./build.py flash --list shows what may be written")
    return disk


def _named(machine: Machine, word: str, roots: Roots) -> Disk:
    """A link is followed by name alone: what is opened later is checked again on the descriptor."""
    hint = "./build.py flash --list shows what may be written"
    dev = os.path.realpath(roots.dev)
    path = word if "/" in word else os.path.join(dev, word)
    if path.startswith("/dev/"):
        path = os.path.join(dev, path.removeprefix("/dev/"))
    name = os.path.relpath(os.path.realpath(path), dev).replace("/", "!")
    for disk in machine.disks:
        if disk.name == name:
            return disk
        if any(part.name == name for part in disk.partitions):
            raise UserError(f"{word} is a partition", hint=f"name the whole disk: {disk.name}")
    raise UserError(f"there is no disk {word}", hint=hint)


def _registered_one(machine: Machine, wish: Wish) -> Disk:
    found = [disk for disk in machine.disks if registered(disk, wish) and disk.size and not disk.boot_area]
    if not wish.registered:
        raise UserError("no disk was named", hint="flash IMAGE DEVICE; ./build.py flash --list shows which there are")
    if len(found) != 1:
        serials = ", ".join(sorted(wish.registered))
        which = ", ".join(disk.name for disk in found) or "none"
        raise UserError(f"{len(found)} disks have a registered serial ({serials}): {which}", hint="one has to be there")
    return found[0]
