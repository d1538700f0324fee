# SPDX-License-Identifier: MIT
"""Fits the constants of the cost model (protopi.boot.model) to boots of a real board, and says how sure they are.

The model of one boot is  T = instructions * a + waits + card_init + bytes * b + characters * c.  Measured are T (kernel
entry -> ready) and card_init (the kernel log of each boot); counted, in QEMU on the same image, instructions, waits and
bytes; known is c (ten bits at the line's rate). What is left over is  instructions * a + bytes * b:  with one image a
is fitted and b is held as it is; with two or more whose shares of work and reading differ, both are fitted.
Each uncertainty is the bootstrap's 95 % interval over the boots (seeded). It holds what varies from boot to boot; it
does not hold what the model leaves out, such as work that overlaps with waiting for the card.
"""

from __future__ import annotations

import random
import statistics
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protopi.boot.model import NAMES, Cost
from protopi.errors import UserError
from protopi.hwgate import clocks
from protopi.hwgate.bench import BOARD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESAMPLES, SEED = 2000, 20
#: Fewer boots of an image than this fit nothing.
FEWEST = 5
#: Two images tell work from reading when their bytes per instruction differ at least by this factor.
APART = 1.5
_HELD = "Held, not fitted."
UNITS = {
    "instructions_per_second": "instructions/s",
    "card_bytes_per_second": "bytes/s",
    "card_init_seconds": "s",
    "console_seconds_per_character": "s",
}


@dataclass(frozen=True, slots=True)
class Boots:
    """The measured boots of one image, and what QEMU counted of it.

    Each row of `measured` is (seconds kernel entry -> ready, seconds of card initialisation or None, console bytes).
    """

    image: str
    where: str
    board: str
    started: str
    measured: tuple[tuple[float, float | None, int], ...]
    instructions: int
    waits: float
    card_bytes: int


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant: its value, its 95 % interval (None: it was held), and where it comes from."""

    name: str
    value: float
    interval: tuple[float, float] | None
    source: str


@dataclass(frozen=True, slots=True)
class Fit:
    """The constants; and of each image its name, the measured median, and what was and is now modelled (seconds)."""

    constants: tuple[Constant, ...]
    residuals: tuple[tuple[str, float, float, float], ...]
    where: str

    def cost(self) -> Cost:
        """As the model takes them."""
        values = {constant.name: constant.value for constant in self.constants}
        return Cost(**values, sources={constant.name: constant.source for constant in self.constants})


def boots_of(run: Mapping[str, Any], counts: Mapping[str, Any]) -> Boots:
    """From the document of `board gate` and that of `gate` on the same image. Raises UserError when they do not fit."""
    try:
        if run["kind"] != "protopi board gate":
            raise KeyError("kind")
        image, where, name = run["image"]["name"], run["measured_on"], run["bench"]["name"]
        final = {attempt["boot"]: attempt for attempt in run["attempts"]}.values()
        rows = tuple(
            (float(seconds), attempt["told"].get("card_init_seconds"), int(attempt["console_bytes"] or 0))
            for attempt in final
            if (seconds := attempt["phases"].get(clocks.GATED)) is not None
        )
        verdict, started = run["verdict"], run["started"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"this is no document of `board gate` ({error})", hint="make one: ./build.py board gate NAME --json FILE"
        ) from error
    if verdict not in ("PASS", "FAIL"):
        raise UserError(f"a run that ended {verdict} proves nothing", hint="repeat it until it ends PASS or FAIL")
    if len(rows) < FEWEST:
        raise UserError(f"{len(rows)} boots with a time, and a fit needs {FEWEST}", hint="board gate NAME --boots 20")
    try:
        boot = counts["boots"][0]
        instructions, waits = boot["instructions"]["reset_to_ready"], boot["idle_ns"]["reset_to_ready"] / 1e9
        counted, card_bytes = counts["image"], int(boot["sd_bytes_read"])
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"this is no document of `gate` with counted instructions ({error})",
            hint=f"make one: ./build.py gate {image} --json FILE",
        ) from error
    if counted != image:
        raise UserError(f"measured was {image}, counted {counted}", hint=f"./build.py gate {image} --json FILE")
    return Boots(image, where, name, started, rows, int(instructions), waits, card_bytes)


def fit(sets: Sequence[Boots], now: Cost, *, stand_in: bool = False) -> Fit:
    """The constants that fit these boots best. Raises UserError when the data are a stand-in's, or fit nothing."""
    if not sets:
        raise UserError("there is no run to fit to", hint="give the JSON of a `board gate`")
    places = sorted({boots.where for boots in sets})
    if len(places) > 1:
        raise UserError(f"runs of different places cannot be mixed: {', '.join(places)}")
    if places[0] != BOARD and not stand_in:
        raise UserError(
            f"these boots are of a {places[0]}: they say nothing about a Pi 4",
            hint="calibrate from a run on a board; --stand-in tries the fit out all the same",
        )
    dice = random.Random(SEED)
    best = _solve([_medians(boots.measured) for boots in sets], sets, now)
    drawn = []
    for _ in range(RESAMPLES):
        rows = [_medians(dice.choices(boots.measured, k=len(boots.measured))) for boots in sets]
        drawn.append(_solve(rows, sets, now))
    constants = []
    for index, name in enumerate(NAMES):
        value = best[index]
        if value is None:
            constants.append(
                Constant(name, getattr(now, name), None, f"{_HELD} {now.sources[name].removeprefix(_HELD).lstrip()}")
            )
            continue
        values = sorted(row[index] or 0.0 for row in drawn)
        interval = values[int(0.025 * RESAMPLES)], values[int(0.975 * RESAMPLES) - 1]
        if min(interval[0], value) <= 0:
            raise UserError(
                f"{name} cannot be told from zero by these boots ({value:.3g}, {interval[0]:.3g} to {interval[1]:.3g})",
                hint="more boots, or a second image that reads more from the card",
            )
        constants.append(Constant(name, value, interval, _source(name, sets, interval)))
    made = Fit(tuple(constants), (), places[0])
    return Fit(made.constants, tuple(_residual(boots, now, made.cost()) for boots in sets), places[0])


def _medians(rows: Sequence[tuple[float, float | None, int]]) -> tuple[float, float | None, float]:
    inits = [init for _, init, _ in rows if init is not None]
    return (
        statistics.median(seconds for seconds, _, _ in rows),
        statistics.median(inits) if inits else None,
        statistics.median(console for _, _, console in rows),
    )


def _solve(
    rows: Sequence[tuple[float, float | None, float]], sets: Sequence[Boots], now: Cost
) -> tuple[float | None, float | None, float | None, float | None]:
    """The constants in the order of NAMES; None for one that is held. A rate that would not be positive is 0."""
    inits = [init for _, init, _ in rows if init is not None]
    card_init = statistics.fmean(inits) if inits else None
    # Per 10^8 instructions and per MB, so that both columns have numbers of one size.
    x = [boots.instructions / 1e8 for boots in sets]
    y = [boots.card_bytes / 1e6 for boots in sets]
    left = [
        seconds
        - boots.waits
        - (init if init is not None else now.card_init_seconds)
        - console * now.console_seconds_per_character
        for (seconds, init, console), boots in zip(rows, sets, strict=True)
    ]
    if not _tells_apart(sets):
        held = [value - b / (now.card_bytes_per_second / 1e6) for value, b in zip(left, y, strict=True)]
        work = sum(a * value for a, value in zip(x, held, strict=True)) / sum(a * a for a in x)
        return (1e8 / work if work > 0 else 0.0), None, card_init, None
    xx, yy, xy = sum(a * a for a in x), sum(b * b for b in y), sum(a * b for a, b in zip(x, y, strict=True))
    xt = sum(a * value for a, value in zip(x, left, strict=True))
    yt = sum(b * value for b, value in zip(y, left, strict=True))
    determinant = xx * yy - xy * xy
    work, read = (xt * yy - yt * xy) / determinant, (yt * xx - xt * xy) / determinant
    return (1e8 / work if work > 0 else 0.0), (1e6 / read if read > 0 else 0.0), card_init, None


def _tells_apart(sets: Sequence[Boots]) -> bool:
    shares = [boots.card_bytes / boots.instructions for boots in sets]
    return min(shares) > 0 and max(shares) >= APART * min(shares)


def _source(name: str, sets: Sequence[Boots], interval: tuple[float, float]) -> str:
    boots = sum(len(one.measured) for one in sets)
    where = "a board" if sets[0].where == BOARD else f"a {sets[0].where.upper()}, NOT a Pi 4"
    images = ", ".join(sorted({one.image for one in sets}))
    how = "Read from the kernel log" if name == "card_init_seconds" else "Fitted to kernel entry -> ready (estimated)"
    return (
        f"{how} of {boots} boots of {images} on {where} ({', '.join(sorted({one.board for one in sets}))}), "
        f"{sets[-1].started[:10]}; 95 % interval {interval[0]:.4g} to {interval[1]:.4g} {UNITS[name]}."
    )


def _modelled(boots: Boots, cost: Cost, console: float) -> float:
    return (
        boots.instructions / cost.instructions_per_second
        + boots.waits
        + cost.card_init_seconds
        + boots.card_bytes / cost.card_bytes_per_second
        + console * cost.console_seconds_per_character
    )


def _residual(boots: Boots, before: Cost, after: Cost) -> tuple[str, float, float, float]:
    seconds, _, console = _medians(boots.measured)
    return boots.image, seconds, _modelled(boots, before, console), _modelled(boots, after, console)


def to_yaml(made: Fit) -> str:
    """The constants in the form of boards/pi4/cost.yaml."""
    rows = [
        "# SPDX-License-Identifier: MIT",
        "# Constants of the model that turns a boot in QEMU into seconds on a Pi 4. Each states where it comes from;",
        "# change one only together with its source. Proposed by `board calibrate`.",
    ]
    if made.where != BOARD:
        rows.append(f"# OF A {made.where.upper()}: these are no constants of a Pi 4, and must not become any.")
    for constant in made.constants:
        rows += [
            f"{constant.name}:",
            f"  value: {constant.value:.4e}",
            f"  unit: {UNITS[constant.name]}",
            "  source: >-",
        ]
        rows += textwrap.wrap(constant.source, 116, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(rows) + "\n"
