# SPDX-License-Identifier: MIT
"""Plays the Pi 4's boot ROM and firmware over a raw SD image, so that what is booted is what is flashed.

It reads the partition table, autoboot.txt, config.txt, cmdline.txt, kernel and device tree out of the image, and
refuses what the real one refuses. Where the real one guesses or falls back silently, it refuses too: an image must not
depend on luck. Each refusal ends with its source in brackets; docs/firmware.md has the table of rules, sources and
tests.

`boot` is a function from a card and a `FirmwareState` to a `Boot`, which holds the state that the next boot finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi.boot.firmware import load, select
from protopi.boot.firmware.card import Card, FirmwareRefusal
from protopi.boot.firmware.load import DEVICE_TREES, Boot
from protopi.boot.firmware.state import FirmwareState
from protopi.boot.firmware.tree import chosen
from protopi.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DEVICE_TREES", "Boot", "Card", "FirmwareRefusal", "FirmwareState", "boot", "chosen"]


def boot(image: Path, *, model: str = "4b", state: FirmwareState | None = None, partition_walk: bool = False) -> Boot:
    """Boot the card as `model` ("4b", "400", "cm4", "cm4s"), after power-on or from `state`.

    `partition_walk` plays an EEPROM with PARTITION_WALK=1 (the default of those since August 2025); without it a card
    that needs the walk is refused, since it would not boot on an older board. Raises FirmwareRefusal; the state that
    was passed is used up then too.
    """
    found = state or FirmwareState()
    try:
        with Card(image) as card:
            choice = select.choose(card, model, found, walk=partition_walk)
            return load.load(card.fat(choice.partition), choice, model, found)
    except UserError as error:
        source = "format; filters" if error.problems[0].where else "card"
        raise FirmwareRefusal(f"the firmware would not boot this card: {error} [{source}]") from error
