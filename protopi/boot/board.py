# SPDX-License-Identifier: MIT
"""What the harness must know of a board: data, no branches. The boards themselves are in the folder boards/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Board:
    """One board.

    name          as in `board:` of an image file
    title         for people
    model         the model that the firmware stand-in plays ("4b")
    machine       QEMU's machine type; with it the QEMU arguments that are the board's own
    drive         QEMU arguments that attach the image; "{file}" is its path
    network       QEMU arguments of a network; "{forward}" is the list of host forwards; empty: it has none. An exact
                  board gets it only where forwards are asked for
    devicetrees   trees of the kernel that are shipped, the first one being this board's
    overlay       merged into each shipped tree when the image is built (project path), or empty
    qemu_overlay  merged by the harness only (project path); None: QEMU makes the tree itself
    cost          constants of the model of a real board (project path); None: no model
    allow         exact kernel-log lines that only QEMU causes (project path)
    tolerance     how far the instructions of equal boots may lie apart; 0: nothing waits for the host, and equal boots
                  agree to the digit in all counts (`exact`)
    sd_trace      True: the card is QEMU's SD card, whose trace counts its reads
    carried       initcalls of built-in drivers that only another machine needs; the gate shows their cost
    """

    name: str
    title: str
    model: str
    machine: tuple[str, ...]
    drive: tuple[str, ...]
    devicetrees: tuple[str, ...]
    overlay: str
    qemu_overlay: Path | None
    allow: Path
    cost: Path | None = None
    network: tuple[str, ...] = ()
    tolerance: float = 0.0
    sd_trace: bool = True
    carried: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether equal boots agree to the digit."""
        return not self.tolerance
