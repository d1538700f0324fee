# SPDX-License-Identifier: MIT
"""Modelled seconds on a Pi 4, kernel entry to ready: a sum of stated terms. A model until a board has calibrated it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from protopi.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES = (
    "instructions_per_second",
    "card_bytes_per_second",
    "card_init_seconds",
    "console_seconds_per_character",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """The constants (SI units), and the source of each."""

    instructions_per_second: float
    card_bytes_per_second: float
    card_init_seconds: float
    console_seconds_per_character: float
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Term:
    """One addend: its name, its seconds, and how it came about, in words."""

    name: str
    seconds: float
    basis: str


@dataclass(frozen=True, slots=True)
class Modelled:
    """The terms; their sum is the modelled time."""

    terms: tuple[Term, ...]

    @property
    def seconds(self) -> float:
        """Kernel entry to ready on a Pi 4, in seconds, according to the model."""
        return sum(term.seconds for term in self.terms)

    def to_json(self) -> dict[str, Any]:
        """The gate's field `modelled`."""
        return {
            "seconds": round(self.seconds, 6),
            "terms": {t.name: {"seconds": round(t.seconds, 6), "basis": t.basis} for t in self.terms},
        }


def load(path: Path) -> Cost:
    """Read the constants. Raises UserError when one is missing, not positive, or has no source."""
    data = yaml.safe_load(path.read_text())
    values: dict[str, float] = {}
    sources: dict[str, str] = {}
    for name in NAMES:
        entry = data.get(name) if isinstance(data, dict) else None
        if not isinstance(entry, dict) or not entry.get("source") or not float(entry.get("value", 0)) > 0:
            raise UserError("needs a positive `value` and a `source`", where=path.name, key=name)
        values[name], sources[name] = float(entry["value"]), str(entry["source"])
    return Cost(**values, sources=sources)


def predict(
    cost: Cost,
    *,
    virtual_ns: int,
    instructions: int | None,
    sd_bytes: int,
    console_bytes: int,
) -> Modelled:
    """The model for one boot, reset to ready: virtual time, executed instructions (None: not counted), card, console.

    Without a count of instructions the virtual time stands for work and waits together.
    """
    giga = cost.instructions_per_second / 1e9
    if instructions is None:
        work: tuple[Term, ...] = (
            Term("virtual_time", virtual_ns / 1e9, f"{virtual_ns} virtual ns; instructions were not counted"),
        )
    else:
        idle = max(virtual_ns - instructions, 0)
        work = (
            Term(
                "instructions",
                instructions / cost.instructions_per_second,
                f"{instructions} executed, at {giga:g} G/s",
            ),
            Term("waits", idle / 1e9, f"{idle} ns waited for timers, as they are"),
        )
    megabytes = cost.card_bytes_per_second / 1e6
    return Modelled(
        (
            *work,
            Term("card_init", cost.card_init_seconds, "SD card initialisation (QEMU's card needs none)"),
            Term("card_reads", sd_bytes / cost.card_bytes_per_second, f"{sd_bytes} bytes at {megabytes:g} MB/s"),
            Term(
                "console",
                console_bytes * cost.console_seconds_per_character,
                f"{console_bytes} characters at {cost.console_seconds_per_character * 1e6:g} us",
            ),
        )
    )
