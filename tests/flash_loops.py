# SPDX-License-Identifier: MIT
"""Loop devices that pose as cards in a USB reader: real opening, real ioctls, real block layer.

The rest of the machine (sysfs, by-id names) is a folder of tests/flash_machines.py. Takes root; what cannot be had is
said in the reason to skip.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from protopi.flash import disks
from protopi.flash.disks import Disk, Roots
from protopi.flash.job import Host
from protopi.flash.signature import blkid
from tests.flash_machines import Machine


def missing(*programs: str) -> str:
    """Why real block devices cannot be had here; "" when they can."""
    lost = [name for name in ("losetup", *programs) if shutil.which(name) is None]
    if os.geteuid():
        return "NOT TESTED on real block devices: that takes root (run the tests with sudo)"
    if not Path("/dev/loop-control").exists():
        return "NOT TESTED on real block devices: this kernel has no loop devices"
    return f"NOT TESTED on real block devices: no {', '.join(lost)} here" if lost else ""


def missing_mapper() -> str:
    """Why device mapper cannot be had here; "" when it can."""
    if reason := missing("dmsetup"):
        return reason
    if subprocess.run(["dmsetup", "version"], capture_output=True, check=False).returncode:
        return "NOT TESTED with real device mapper: this kernel has none"
    return ""


def missing_raid() -> str:
    """Why md cannot be had here; "" when it can."""
    if reason := missing("mdadm"):
        return reason
    return "" if Path("/proc/mdstat").exists() else "NOT TESTED with real md: this kernel has none"


@dataclass(frozen=True, slots=True)
class LoopCard:
    """A loop device and the machine in which it is the card `sdl`."""

    path: Path
    backing: Path
    machine: Machine

    @property
    def link(self) -> Path:
        """Its name in /dev/disk/by-id."""
        return next(link for link in (self.machine.root / "dev/disk/by-id").iterdir() if link.resolve().name == "sdl")

    def roots(self, *, real_mounts: bool = True) -> Roots:
        """The machine's roots, with the kernel's own mounts and swaps (or those of an instant ago: none)."""
        own = self.machine.roots
        probe = lambda path: blkid(self.path) if path.name == "sdl" else (2, "")  # noqa: E731
        if real_mounts:
            return Roots(own.sys, own.dev, Path("/proc/self/mountinfo"), Path("/proc/swaps"), probe)
        return Roots(own.sys, own.dev, own.mountinfo, own.swaps, probe)

    def host(self, *, real_mounts: bool = True) -> Host:
        """A host whose person says yes. Nothing of this machine's is traced: its disks are not in the folder."""
        return Host(self.roots(real_mounts=real_mounts), {}, ask=lambda _: "sdl")

    def disk(self) -> Disk:
        """The card as it would be listed, before anybody used it."""
        found = disks.read(self.roots(real_mounts=False), {})
        return next(disk for disk in found.disks if disk.name == "sdl")

    def pose(self) -> None:
        """Write the loop device's number, sequence and size where the card's are looked for."""
        folder = self.machine.root / "sys/block/sdl"
        real = Path("/sys/block") / self.path.name
        for name in ("dev", "size", "diskseq"):
            (folder / name).write_text((real / name).read_text())
        node = self.machine.root / "dev/sdl"
        node.unlink(missing_ok=True)
        os.mknod(node, stat.S_IFBLK | 0o600, self.path.stat().st_rdev)


def attach(backing: Path, *options: str) -> Path:
    """A loop device on a file."""
    done = subprocess.run(
        ["losetup", "--find", "--show", *options, backing], check=True, capture_output=True, text=True
    )
    return Path(done.stdout.strip())


def detach(path: Path) -> None:
    """Give it back."""
    subprocess.run(["losetup", "--detach", path], check=True)


@contextlib.contextmanager
def loop_card(folder: Path, size: int, *options: str) -> Iterator[LoopCard]:
    """A card of `size` bytes."""
    backing = folder / "card.backing"
    backing.touch()
    os.truncate(backing, size)
    lines = ["-nvme0n1 nvme 512G : 2=ext4@/", f"+sdl usb {size} serial=LOOP0001"]
    machine = Machine("loop", folder / "machine").make(lines)
    path = attach(backing, *options)
    try:
        card = LoopCard(path, backing, machine)
        card.pose()
        yield card
    finally:
        detach(path)
