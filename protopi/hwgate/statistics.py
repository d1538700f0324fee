# SPDX-License-Identifier: MIT
"""Statistics of boot times: a few robust figures of one set, and the comparison of two. Seeded, so reproducible.

The comparison asks "is the new set slower?" and keeps two errors apart: an alarm on an image that did not change, and a
change that is missed. How often each happens with 20 boots a set is measured in protopi.hwgate.power_curve.

1. Boots far from their set's median are set aside: further than five robust deviations (1.4826 times the median
   absolute deviation of both sets about their own medians), and than a tenth of the median, so that a quiet board with
   two modes keeps both. Where more than a fifth of a set would go, none goes: then they are the distribution.
2. The shift is the difference of the means of what is kept. Its interval is the studentised bootstrap's ("bootstrap-t",
   Efron and Tibshirani 1993, chapter 12): the plain percentile interval is too narrow with 20 values, and alarmed about
   twice as often as it promised.
3. Slower means that the interval's lower end is above zero. It is an alarm when the shift is also at least 1 % of the
   earlier set's median: below that it may be true and does not matter.
4. Boots that were set aside are counted: when the new set has so many more of them that chance would explain it once
   in a thousand times (Fisher's exact test), that is an alarm too. A slow boot now and then is a regression as well.
"""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The chance of an alarm on an unchanged image that the interval is made for.
ALPHA = 0.003
RESAMPLES = 4000
SEED = 20
#: Set aside: further from the median than this many robust deviations, and than this part of the median.
FAR, FAR_PART = 5.0, 0.1
#: A shift below this part of the earlier median is no alarm.
MATTERS = 0.01
#: Chance below which more boots that were set aside are an alarm.
RARE = 0.001
#: Fewer boots than this (after setting aside) are not compared.
FEWEST = 5
#: The median absolute deviation of a normal distribution is this part of its standard deviation.
_NORMAL_MAD = 0.6745


@dataclass(frozen=True, slots=True)
class Summary:
    """One set of times, in seconds. `mad` is the median absolute deviation; `p95` the nearest-rank percentile."""

    count: int
    least: float
    median: float
    p95: float
    most: float
    mad: float

    def to_json(self) -> dict[str, Any]:
        """For the gate's document: seconds, rounded to a microsecond."""
        rows = {
            "min": self.least,
            "median": self.median,
            "p95": self.p95,
            "max": self.most,
            "spread": self.most - self.least,
            "mad": self.mad,
        }
        return {"count": self.count, **{name: round(value, 6) for name, value in rows.items()}}


def summarise(values: Sequence[float]) -> Summary:
    """The figures of one set, which must not be empty."""
    rows = sorted(values)
    middle = statistics.median(rows)
    return Summary(
        count=len(rows),
        least=rows[0],
        median=middle,
        p95=rows[math.ceil(0.95 * len(rows)) - 1],
        most=rows[-1],
        mad=statistics.median(abs(value - middle) for value in rows),
    )


def assured(boots: int, confidence: float = 0.95) -> float:
    """What part of all boots keeps the limit at least, when `boots` of `boots` did: 20 show 86.1 %, 59 show 95.05 %.

    The exact (Clopper-Pearson) lower bound for no miss.
    """
    return (1 - confidence) ** (1 / boots) if boots else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """A new set against an earlier one, in seconds; positive is slower.

    `low` and `high` are the interval's ends, each missed with chance `alpha`; `aside` counts the boots that were set
    aside (earlier, new); `rare` is the chance that so many more of them are chance.
    """

    shift: float
    low: float
    high: float
    base: float
    aside: tuple[int, int]
    rare: float
    counts: tuple[int, int]
    alpha: float = ALPHA
    resamples: int = RESAMPLES
    seed: int = SEED

    @property
    def finding(self) -> Literal["slower", "faster", "no difference"]:
        """What the interval says."""
        if self.low > 0:
            return "slower"
        return "faster" if self.high < 0 else "no difference"

    @property
    def alarms(self) -> tuple[str, ...]:
        """Why the new set is worse in a way that matters; empty: it is not."""
        found = []
        if self.finding == "slower" and self.shift >= MATTERS * self.base:
            part = f"{self.shift / self.base:.1%}"
            interval = f"{self.low * 1e3:.1f} to {self.high * 1e3:.1f} ms"
            found.append(f"slower by {self.shift * 1e3:.1f} ms ({part}; the interval is {interval})")
        if self.aside[1] > self.aside[0] and self.rare <= RARE:
            sets = f"{self.aside[1]} of {self.counts[1]} boots, earlier {self.aside[0]} of {self.counts[0]}"
            found.append(f"more boots lie far off: {sets}")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """For the gate's document: seconds."""
        return {
            "finding": self.finding,
            "alarms": list(self.alarms),
            "shift": round(self.shift, 6),
            "interval": [round(self.low, 6), round(self.high, 6)],
            "earlier_median": round(self.base, 6),
            "set_aside": list(self.aside),
            "set_aside_chance": round(self.rare, 6),
            "boots": list(self.counts),
            "alpha": self.alpha,
            "resamples": self.resamples,
            "seed": self.seed,
        }


def fisher(earlier: int, earlier_of: int, new: int, new_of: int) -> float:
    """The chance of at least `new` of the marked values in the new set, if marks fell on both sets alike."""
    marks, whole = earlier + new, math.comb(earlier_of + new_of, earlier + new)
    most = min(marks, new_of)
    return sum(math.comb(new_of, k) * math.comb(earlier_of, marks - k) for k in range(new, most + 1)) / whole


def keep(earlier: Sequence[float], new: Sequence[float]) -> tuple[list[float], list[float]]:
    """Both sets without the boots that lie far off."""
    middles = [statistics.median(rows) for rows in (earlier, new)]
    residuals = [abs(v - m) for rows, m in zip((earlier, new), middles, strict=True) for v in rows]
    scale = statistics.median(residuals) / _NORMAL_MAD
    kept = []
    for rows, middle in zip((earlier, new), middles, strict=True):
        near = [value for value in rows if abs(value - middle) <= max(FAR * scale, FAR_PART * abs(middle))]
        kept.append(near if len(rows) - len(near) <= len(rows) // 5 else list(rows))
    return kept[0], kept[1]


def _moments(rows: Sequence[float]) -> tuple[float, float]:
    """Mean, and the variance of the mean."""
    count = len(rows)
    mean = sum(rows) / count
    square = sum(map(mul, rows, rows)) / count
    return mean, max(square - mean * mean, 0.0) / (count - 1)


def compare(
    earlier: Sequence[float],
    new: Sequence[float],
    *,
    alpha: float = ALPHA,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison | None:
    """The comparison of two sets of times in seconds, or None where one has too few boots."""
    if min(len(earlier), len(new)) < FEWEST:
        return None
    kept_earlier, kept_new = keep(earlier, new)
    aside = (len(earlier) - len(kept_earlier), len(new) - len(kept_new))
    if min(len(kept_earlier), len(kept_new)) < FEWEST:
        return None
    base = statistics.median(earlier)
    # About the median: the sums of squares lose no digits to a large common part.
    a, b = [v - base for v in kept_earlier], [v - base for v in kept_new]
    (mean_a, var_a), (mean_b, var_b) = _moments(a), _moments(b)
    shift, error = mean_b - mean_a, math.sqrt(var_a + var_b)
    low = high = shift
    if error > 0:
        quantiles = _studentised(a, b, shift, error, resamples, random.Random(seed))
        low = shift - quantiles[math.ceil((1 - alpha) * resamples) - 1] * error
        high = shift - quantiles[math.floor(alpha * resamples)] * error
    rare = fisher(aside[0], len(earlier), aside[1], len(new))
    return Comparison(
        shift, low, high, base, aside, rare, (len(earlier), len(new)), alpha=alpha, resamples=resamples, seed=seed
    )


def _studentised(
    a: Sequence[float], b: Sequence[float], shift: float, error: float, resamples: int, dice: random.Random
) -> list[float]:
    """The bootstrap's distribution of (shift* - shift) / error*, sorted."""
    size_a, size_b = len(a), len(b)
    # Of few equal values a resample may have no spread at all, and its quotient no meaning.
    floor = error * 1e-3
    rows = []
    for _ in range(resamples):
        mean_a, var_a = _moments(dice.choices(a, k=size_a))
        mean_b, var_b = _moments(dice.choices(b, k=size_b))
        rows.append((mean_b - mean_a - shift) / max(math.sqrt(var_a + var_b), floor))
    return sorted(rows)
