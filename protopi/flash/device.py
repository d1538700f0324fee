# SPDX-License-Identifier: MIT
"""Opens a disk for writing: the one that was confirmed, or none.

Names lie (a link can be moved, sdb can be another disk a second later), so everything is checked again on the open
descriptor: device number, disk sequence, size, serial. O_EXCL makes the kernel refuse whatever is mounted, swapped to,
or held by device mapper, md, btrfs or ZFS, in any name space; nothing can take hold of it while it is open.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi.errors import InfraError, UserError
from protopi.flash import rules
from protopi.flash.target import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from protopi.flash.disks import Disk, Machine
    from protopi.flash.rules import Wish

#: ioctl numbers of <linux/fs.h>; they are the same on every architecture with 64-bit pointers that Linux still has.
_BLKGETSIZE64, _BLKGETDISKSEQ, _BLKRRPART = 0x80081272, 0x80081280, 0x125F
_AGAIN = "look at ./build.py flash --list and start again; nothing was written"


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a disk this very disk."""

    number: str
    sequence: int | None
    size: int
    serial: str


def identity(disk: Disk) -> Identity:
    """The identity of a disk as it was listed."""
    return Identity(disk.number, disk.sequence, disk.size, disk.serial)


def _ask(descriptor: int, request: int) -> int:
    value: int = struct.unpack("Q", fcntl.ioctl(descriptor, request, bytes(8)))[0]
    return value


def open_exclusive(path: Path, device: Path) -> int:
    """Open what the by-id link `path` points to, which has to lie below `device` (/dev). Raises UserError."""
    target = os.path.realpath(path)
    if not target.startswith(os.path.realpath(device) + os.sep):
        raise UserError(f"{path} points to {target}, outside {device}", hint=_AGAIN)
    try:
        return os.open(target, os.O_RDWR | os.O_EXCL | os.O_NOFOLLOW | os.O_DIRECT | os.O_CLOEXEC)
    except OSError as error:
        hints = {
            errno.EBUSY: "something uses it: a mount, swap, LVM, md, ZFS, or another program that writes to it",
            errno.EACCES: f"give yourself this one device: sudo setfacl -m u:$USER:rw {target}*",
            errno.EPERM: f"give yourself this one device: sudo setfacl -m u:$USER:rw {target}*",
            errno.ENOMEDIUM: "no card is in it",
            errno.EROFS: "write-protected: look at the switch on the card's side",
        }
        hint = hints.get(error.errno or 0, _AGAIN)
        raise UserError(f"{target} cannot be opened: {error.strerror}", hint=hint) from error


def check(descriptor: int, disk: Disk) -> None:
    """Raise UserError unless the descriptor is the disk's: number, sequence and size, from the descriptor itself."""
    info = os.fstat(descriptor)
    if not stat.S_ISBLK(info.st_mode):
        raise UserError(f"{disk.by_id[0]} is no block device", hint=_AGAIN)
    number = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    try:
        found = Identity(number, _ask(descriptor, _BLKGETDISKSEQ), _ask(descriptor, _BLKGETSIZE64), disk.serial)
    except OSError as error:
        raise InfraError(f"{disk.name} does not say what it is: {error.strerror}", hint=_AGAIN) from error
    compare(disk.name, identity(disk), found)


def compare(name: str, confirmed: Identity, found: Identity) -> None:
    """Raise UserError with what differs."""
    words = {"number": "device number", "sequence": "disk sequence", "size": "size", "serial": "serial"}
    different = [
        f"{word} {getattr(confirmed, key)!s}, now {getattr(found, key)!s}"
        for key, word in words.items()
        if getattr(confirmed, key) != getattr(found, key)
    ]
    if different:
        raise UserError(f"{name} is not the disk that was confirmed: {'; '.join(different)}", hint=_AGAIN)


def open_disk(disk: Disk, wish: Wish, read_again: Callable[[], Machine], device: Path) -> Descriptor:
    """Open the confirmed disk. Raises UserError when it is another one by now, or the rules object by now."""
    descriptor = open_exclusive(disk.by_id[0], device)
    try:
        check(descriptor, disk)
        # The serial is no property of a descriptor: it is read again for the number and sequence that it has, which
        # cannot change while it is open. The rules are asked again too: now nobody can mount it any more.
        machine = read_again()
        now = next((other for other in machine.disks if other.number == disk.number), None)
        if now is None:
            raise UserError(f"{disk.name} is gone", hint=_AGAIN)
        compare(disk.name, identity(disk), identity(now))
        if reasons := rules.refusals(now, machine, wish):
            raise UserError(f"{disk.name} is refused by now: {reasons[0].reason}", hint=_AGAIN)
        return Descriptor(disk.name, descriptor, disk.size, device=True)
    except BaseException:
        os.close(descriptor)
        raise


def reread_partitions(descriptor: int) -> bool:
    """Let the kernel look at the new partition table; False: it did not (that takes root, and a device)."""
    try:
        fcntl.ioctl(descriptor, _BLKRRPART)
    except OSError:
        return False
    return True
