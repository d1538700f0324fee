# SPDX-License-Identifier: MIT
"""Runs `./build.py flash` on a file that poses as a card, slowly, so that a test can send signals to it.

Usage: python -m tests.flash_driver MACHINE IMAGE CARD. It prints `writing` when the first byte is about to be written.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from protopi import cli
from protopi.commands import flash
from protopi.flash.disks import Roots
from protopi.flash.job import Host
from protopi.flash.target import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from protopi.flash.disks import Disk, Machine
    from protopi.flash.rules import Wish

_PAUSE = 0.02


class SlowCard(Descriptor):
    """A file that takes its time to write."""

    def write(self, offset: int, data: memoryview) -> None:
        """See Target.write: in pieces of 256 KiB."""
        for at in range(0, len(data), 1 << 18):
            time.sleep(_PAUSE)
            super().write(offset + at, data[at : at + (1 << 18)])


def main(machine: Path, image: str, card: Path) -> int:
    """Flash `image` to the machine's disk `sdl`, which is the file `card`."""

    def opened(disk: Disk, _wish: Wish, _again: Callable[[], Machine], _dev: Path) -> SlowCard:
        print("writing", flush=True)
        return SlowCard(disk.name, os.open(card, os.O_RDWR), card.stat().st_size, device=True)

    roots = Roots(machine / "sys", machine / "dev", machine / "mountinfo", machine / "swaps", probe=lambda _: (2, ""))
    host = Host(roots, {}, ask=lambda _: "sdl", open=opened)
    vars(flash)["_host"] = lambda *_: host
    return cli.main(["flash", image, "sdl"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
