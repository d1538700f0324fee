# SPDX-License-Identifier: MIT
"""Writing one image to one disk, from the choice of the disk to the proven card.

The machine, the opening and the question are parameters, so that tests can put other ones in their place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from protopi.errors import UserError
from protopi.flash import device, disks, rules, write
from protopi.flash.listing import contents, describe
from protopi.flash.target import Descriptor, NewFile, Target

if TYPE_CHECKING:
    from protopi.flash.disks import Disk, Machine, Roots
    from protopi.flash.rules import Wish
    from protopi.flash.source import Source
    from protopi.flash.write import Written

Report = Callable[[str, int, int], None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that flashes.

    ours   what must not be harmed, by name: paths without links
    ask    puts a question to a person and returns the answer; None: nobody is there
    open   opens a confirmed disk
    """

    roots: Roots = field(default_factory=disks.Roots)
    ours: Mapping[str, str] = field(default_factory=dict)
    ask: Callable[[str], str] | None = None
    open: Callable[[Disk, Wish, Callable[[], Machine], Path], Target] = device.open_disk

    def read(self) -> Machine:
        """The machine as it is now."""
        return disks.read(self.roots, self.ours)


def ours(image: Path | None, **more: Path) -> dict[str, str]:
    """What must not be harmed on this machine; `more`: further folders, by name."""
    named = {"/": "/", "/boot": "/boot", "/usr": "/usr", "/home": "/home", "the working folder": os.getcwd()}
    named |= {f"the {name}": str(path) for name, path in more.items()}
    if image:
        named["the image"] = str(image)
    return {name: os.path.realpath(path) for name, path in named.items()}


def confirm(host: Host, disk: Disk, wish: Wish, say: Say) -> None:
    """Let a person type the disk's name, or, where nobody is, look for its serial in the board file.

    Raises UserError otherwise.
    """
    say(f"{describe(disk)}\n  on it: {contents(disk)}\n  {disk.by_id[0]}")
    if host.ask is None:
        if rules.registered(disk, wish):
            return
        which = f"its serial ({disk.serial}) is not" if disk.serial else "it has no serial, so it cannot be"
        raise UserError(
            f"nobody can be asked whether {disk.name} is meant, and {which} registered",
            hint="run it in a terminal, or name the serial in a board file (card: serials:) and give --board NAME",
        )
    typed = host.ask(f"all of it will be lost. Type {disk.name} to go on: ").strip()
    if typed != disk.name:
        raise UserError(f"{typed!r} is not {disk.name}: nothing was written")


def await_disk(host: Host, word: str, wish: Wish, *, seconds: float) -> Disk:
    """The disk that is meant, once it is there and may be written. Raises UserError when it is not, `seconds` later."""
    end = time.monotonic() + seconds
    while True:
        try:
            return rules.select(host.read(), word, wish, host.roots)
        except UserError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.3)


def to_disk(
    host: Host,
    word: str,
    wish: Wish,
    source: Source,
    digests: Mapping[int, bytes],
    say: Say,
    report: Report,
) -> tuple[Disk, Written]:
    """Choose, confirm, open, write and prove. Raises UserError before the first byte is written, Fault after it."""
    disk = rules.select(host.read(), word, wish, host.roots)
    confirm(host, disk, wish, say)
    target = host.open(disk, wish, host.read, host.roots.dev)
    old = [(part.start, part.size) for part in disk.partitions]
    try:
        done = write.write(target, source, digests, report, old)
    except KeyboardInterrupt:
        say(f"{disk.name}: interrupted: unless nothing was written yet it does not boot now; flash it again")
        raise
    finally:
        if isinstance(target, Descriptor):
            seen = device.reread_partitions(target.descriptor)
            target.close()
            if not seen:
                say(f"{disk.name}: pull it out and put it in again before you look at it here")
    return disk, done


def to_file(path: Path, size: int, source: Source, digests: Mapping[int, bytes], report: Report) -> Written:
    """Write a new file of `size` bytes (0: the image's), which has its name only when it was proven.

    Raises UserError when it cannot be made, Fault when it does not hold what was written.
    """
    size = size or source.size
    if size < source.size or size % 512:
        raise UserError(
            f"{size} bytes do not do for an image of {source.size}", key="--size", hint="whole sectors, as 32G"
        )
    if path.resolve().is_relative_to("/dev"):
        raise UserError(f"{path} is not there", hint="./build.py flash --list shows what may be written")
    with NewFile(path, size) as target:
        done = write.write(target, source, digests, report)
        target.finish()
    return done
