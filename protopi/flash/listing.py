# SPDX-License-Identifier: MIT
"""The table of `flash --list`: what may be written, and why everything else may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi.flash import rules

if TYPE_CHECKING:
    from protopi.flash.disks import Disk, Machine
    from protopi.flash.rules import Wish


def size(number: int) -> str:
    """Bytes as they are printed on a card: powers of 1000."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"


def describe(disk: Disk) -> str:
    """One line that tells a disk from others."""
    words = [disk.name, size(disk.size), disk.bus, disk.model, f"serial {disk.serial}" if disk.serial else "no serial"]
    return "  ".join(word for word in words if word)


def contents(disk: Disk) -> str:
    """What is on it, as far as it was looked at."""
    own = disk.nodes[0].signature
    rows = [f"{node.name} {node.signature}" for node in disk.partitions if node.signature is not None]
    if own is None:
        return ""
    if own.type or own.several:
        rows.insert(0, str(own))
    return ", ".join(rows) or ("an empty partition table" if own.table else "nothing that is known")


def table(machine: Machine, wish: Wish) -> str:
    """All disks with something in them, those that may be written first."""
    may, refused, empty = [], [], []
    for disk in machine.disks:
        reasons = rules.refusals(disk, machine, wish)
        if not disk.size:
            empty.append(disk)
        elif reasons:
            refused.append((disk, reasons))
        else:
            may.append(disk)
    lines = ["may be written:"] if may else ["no card that may be written is here"]
    for disk in may:
        lines += [f"  {describe(disk)}", f"      on it: {contents(disk)}", f"      {disk.by_id[0]}"]
    if refused:
        lines += ["", "refused:"]
    for disk, reasons in refused:
        lines += [f"  {describe(disk)}", *(f"      - {refusal.reason}" for refusal in reasons)]
    readers = [disk.name for disk in empty if disk.bus != "virtual"]
    if readers:
        lines += ["", f"without a card: {', '.join(readers)}"]
    return "\n".join(lines)
