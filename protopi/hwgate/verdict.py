# SPDX-License-Identifier: MIT
"""What a boot, and a run of boots, can come to.

PASS     it reached ready within the limit
FAIL     it did not: too slow, a panic, `@fail`, silence of a board that spoke before
INFRA    the bench failed, not the board: power, cable, tty. Tried again, at most twice; no verdict on the image
INVALID  the run proves nothing: clocks that contradict each other, another image than was flashed. Not tried again
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(enum.Enum):
    """See the module."""

    PASS = "PASS"
    FAIL = "FAIL"
    INFRA = "INFRA"
    INVALID = "INVALID"

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return {Verdict.PASS: 0, Verdict.FAIL: 4}.get(self, 5)


#: A board with this many INFRA among its last so many attempts should be looked at.
QUARANTINE, QUARANTINE_OF = 3, 10


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a run from those of its boots. None at all is INVALID: no data is never a pass.

    A FAIL is one, whatever went wrong beside it; where nothing failed, what proves nothing comes before what is broken.
    """
    found = set(verdicts)
    for verdict in (Verdict.FAIL, Verdict.INVALID, Verdict.INFRA, Verdict.PASS):
        if verdict in found:
            return verdict
    return Verdict.INVALID


def quarantined(attempts: Iterable[Verdict]) -> bool:
    """Whether the last attempts, in the order in which they were made, hold too many INFRA."""
    last = list(attempts)[-QUARANTINE_OF:]
    return last.count(Verdict.INFRA) >= QUARANTINE
