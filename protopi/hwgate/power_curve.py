# SPDX-License-Identifier: MIT
"""How well the comparison works: alarms on unchanged images, and changes found, over many made-up pairs of sets.

The noise is the one that the comparison was designed for, not a measured board's: normal with a standard deviation of
30 ms, two modes 18 ms apart, and 2 % of boots a second late. `./build.py board gate --power-curve` prints the table.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi.hwgate.statistics import compare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BOOTS = 20
SHIFTS_MS = (0, 10, 20, 30, 40, 50, 75, 100)


@dataclass(frozen=True, slots=True)
class Noise:
    """The distribution of boot times in seconds: `median` (before outliers), two equally likely modes, late boots."""

    median: float = 0.6
    sigma: float = 0.030
    modes_apart: float = 0.018
    late_share: float = 0.02
    late_by: float = 1.0

    def draw(self, dice: random.Random, count: int, shift: float = 0.0) -> list[float]:
        """`count` boots of an image that is slower by `shift` seconds."""
        rows = []
        for _ in range(count):
            value = self.median + shift + dice.gauss(0.0, self.sigma)
            value += self.modes_apart / 2 if dice.random() < 0.5 else -self.modes_apart / 2
            rows.append(value + (self.late_by if dice.random() < self.late_share else 0.0))
        return rows


@dataclass(frozen=True, slots=True)
class Point:
    """How many of `pairs` raised an alarm, when the second set is slower by `shift` seconds."""

    shift: float
    alarms: int
    pairs: int

    @property
    def share(self) -> float:
        """Alarms by pairs."""
        return self.alarms / self.pairs

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """The 95 % interval of the share (Wilson's score interval)."""
        n, p = self.pairs, self.share
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)


def curve(
    pairs: int,
    *,
    boots: int = BOOTS,
    shifts_ms: Sequence[int] = SHIFTS_MS,
    noise: Noise | None = None,
    seed: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Point]:
    """One point for each shift; every pair is drawn afresh, in an order that the seed fixes."""
    noise = noise or Noise()
    points = []
    for shift_ms in shifts_ms:
        dice = random.Random(f"{seed} {shift_ms}")
        alarms = 0
        for number in range(1, pairs + 1):
            found = compare(noise.draw(dice, boots), noise.draw(dice, boots, shift_ms / 1e3))
            alarms += found is not None and bool(found.alarms)
            progress(f"{shift_ms} ms slower: pair {number} of {pairs}")
        points.append(Point(shift_ms / 1e3, alarms, pairs))
    return points


def table(points: Sequence[Point], boots: int) -> list[str]:
    """The points as lines of text."""
    rows = [f"{boots} boots a set; noise: sigma 30 ms, two modes 18 ms apart, 2 % of boots 1 s late (made up)"]
    for point in points:
        low, high = point.interval()
        what = "unchanged" if not point.shift else f"{point.shift * 1e3:.0f} ms slower"
        share = f"{point.share:7.2%}  (95 % interval {low:.2%} to {high:.2%})"
        rows.append(f"{what:>14}: alarm in {point.alarms:4d} of {point.pairs} pairs  {share}")
    return rows
