# SPDX-License-Identifier: MIT
"""A board on the bench, as the gate sees it: power, and a line to listen on. Real boards and stand-ins alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from protopi.boot.console import Console

#: What a Pi 4's architected counter runs at: its crystal.
PI4_HZ = 54_000_000
BOARD = "board"


@dataclass(frozen=True, slots=True)
class Facts:
    """What stands in every report about the board.

    where      "board", or "stand-in: ..." for anything that is none. Figures of different places are never compared
    name       the board file's
    revision, memory_mb, eeprom, card    as the board file says (None: it does not)
    power      how the power is switched
    serial     where the line is
    frequency  what the counter must run at (None: anything)
    by_hand    a person switches: when power came is not known
    powered    False: there is no power to switch, no firmware, and its time is not the host's (QEMU)
    """

    where: str
    name: str
    revision: str | None = None
    memory_mb: int | None = None
    eeprom: str | None = None
    card: str | None = None
    power: str = ""
    serial: str = ""
    frequency: int | None = None
    by_hand: bool = False
    powered: bool = True

    @property
    def real(self) -> bool:
        """Whether this is a board."""
        return self.where == BOARD

    def to_json(self) -> dict[str, Any]:
        """The report's field `bench`."""
        return {
            "name": self.name,
            "revision": self.revision,
            "memory_mb": self.memory_mb,
            "eeprom": self.eeprom,
            "card": self.card,
            "power": self.power,
            "serial": self.serial,
            "counter_hz": self.frequency,
        }


class Bench(Protocol):
    """A board with power (protopi.power.Switch) and a console. Raises InfraError where it cannot do its part."""

    @property
    def facts(self) -> Facts:
        """What it is."""

    def on(self) -> None:
        """Switch on; returns when the switch has said so."""

    def off(self) -> None:
        """Switch off; returns when the switch has said so."""

    def listen(self) -> AbstractContextManager[Console]:
        """A console on the board's line, for as long as the context lasts. It may have heard earlier boots."""
