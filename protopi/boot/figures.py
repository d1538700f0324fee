# SPDX-License-Identifier: MIT
"""One boot in numbers, by phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protopi.boot.board import Board
    from protopi.boot.record import Record

PHASES = ("reset_to_init", "init_to_ready", "reset_to_ready")
#: By how much the plug-in's count may exceed the virtual time.
COUNT_SLACK = 1e-4


@dataclass(frozen=True, slots=True)
class Figures:
    """One boot in numbers, by phase; instructions and idle_ns are None where nothing counted them."""

    virtual_ns: Mapping[str, int]
    instructions: Mapping[str, int] | None
    idle_ns: Mapping[str, int] | None
    sd_bytes_read: int
    sd_commands: int | None
    console_bytes: int

    def to_json(self) -> dict[str, Any]:
        """An element of the gate's field `boots`."""
        return {
            "virtual_ns": dict(self.virtual_ns),
            "instructions": dict(self.instructions) if self.instructions else None,
            "idle_ns": dict(self.idle_ns) if self.idle_ns else None,
            "sd_bytes_read": self.sd_bytes_read,
            "sd_commands": self.sd_commands,
            "console_bytes": self.console_bytes,
        }


def figures(facts: Record, board: Board) -> Figures:
    """The numbers of one boot. Raises ValueError when the marker lacks one, or does not fit the other counters."""
    marker = facts.marker or {}
    try:
        frequency, cntvct = int(marker["cntfrq"]), marker["cntvct"]
        ticks = {name: int(cntvct[name]) for name in ("init", "ready")}
        guest_bytes = int(marker["root_sectors"]) * 512
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the @boot marker lacks a number: {error}") from error
    if frequency <= 0 or not 0 < ticks["init"] <= ticks["ready"]:
        raise ValueError(f"the @boot marker's counters are impossible: {ticks} at {frequency} Hz")
    at = {name: value * 1_000_000_000 // frequency for name, value in ticks.items()}
    virtual = _phases(at["init"], at["ready"])
    counted = facts.counts.instructions
    instructions = _executed(at, counted) if {"init", "ready"} <= counted.keys() else None
    idle = {name: virtual[name] - instructions[name] for name in PHASES} if instructions else None
    sd_bytes, commands = guest_bytes, None
    if board.sd_trace and "ready" in facts.counts.blocks:
        sd_bytes, commands = facts.counts.blocks["ready"] * 512, facts.counts.commands["ready"]
    return Figures(virtual, instructions, idle, sd_bytes, commands, facts.console_bytes)


def _executed(at: Mapping[str, int], counted: Mapping[str, int]) -> dict[str, int]:
    """Executed instructions by phase, never more than virtual time has room for.

    The plug-in counts an instruction that faults (a page fault) and starts again twice, QEMU's clock counts it once:
    about one in a million. Raises ValueError when the counts do not fit the clock.
    """
    marks = []
    for name in ("init", "ready"):
        if counted[name] > at[name] * (1 + COUNT_SLACK):
            raise ValueError(f"{counted[name]} instructions until {name}, but only {at[name]} virtual ns went by")
        marks.append(min(counted[name], at[name]))
    init, ready = marks
    within = at["ready"] - at["init"]
    return _phases(max(init, ready - within), ready)


def _phases(init: int, ready: int) -> dict[str, int]:
    return {"reset_to_init": init, "init_to_ready": ready - init, "reset_to_ready": ready}
