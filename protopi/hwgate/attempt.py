# SPDX-License-Identifier: MIT
"""One cold boot: off (proven by protopi.power), on, listen, ask; then what it comes to. No retries here.

Whose fault silence is: before the line has brought anything in this run, a board that says nothing may be a cable that
is not plugged in (INFRA). Once a boot has answered, power and line are known to work, and the next silence is the
board's (FAIL): otherwise an image that hangs now and then would pass by being tried again.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from protopi import power
from protopi.boot.console import Console, Marker, Timeout
from protopi.errors import InfraError
from protopi.hwgate import clocks, told
from protopi.hwgate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protopi.hwgate.bench import Bench


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds.

    drain    after power-off: what the adapter and this computer still hold of the line
    off      how long the board stays off, and silent
    boot     from power-on to the @boot line; a Pi 4's firmware takes 3 to 5 of them
    answer   for a report of the board's
    """

    drain: float = 0.5
    off: float = 3.0
    boot: float = 60.0
    answer: float = 20.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a boot is held to: the limit in seconds, and the disk id of the image that was flashed (None: any)."""

    limit: float = 2.0
    disk_id: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One cold boot.

    phases           seconds by the names of `clocks.PHASES`; empty where there are none
    told             what the board said of itself (protopi.hwgate.told)
    marker           the @boot line's JSON as it came
    switch_seconds   how long the power switch took to say that it is on: power-on is known no better
    console_bytes    from power-on to the @boot line
    other_image      the board runs another image than was flashed
    """

    boot: int
    attempt: int
    verdict: Verdict
    reason: str = ""
    phases: Mapping[str, float | None] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    marker: Mapping[str, Any] | None = None
    switch_seconds: float | None = None
    console_bytes: int | None = None
    other_image: bool = False
    tail: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """An element of the document's `attempts`."""
        return {
            "boot": self.boot,
            "attempt": self.attempt,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "phases": {name: None if value is None else round(value, 6) for name, value in self.phases.items()},
            "told": dict(self.told),
            "marker": dict(self.marker) if self.marker is not None else None,
            "switch_seconds": None if self.switch_seconds is None else round(self.switch_seconds, 6),
            "console_bytes": self.console_bytes,
            "seconds": round(self.seconds, 3),
            "tail": list(self.tail),
        }


def cold_boot(
    bench: Bench, boot: int, attempt: int, wanted: Wanted, patience: Patience, *, line_works: bool = False
) -> Attempt:
    """Boot the board cold, once. What the bench and the board do wrong is the verdict, and is not raised."""
    began = time.monotonic()
    made = Attempt(boot, attempt, Verdict.INFRA)
    try:
        with bench.listen() as console:
            heard = console.size
            power.off_proven(bench, console, drain=patience.drain, quiet=patience.off)
            try:
                made = _boot(bench, console, made, wanted, patience, line_works=line_works)
            finally:
                if made.verdict is not Verdict.PASS and console.size > heard:
                    made = replace(made, tail=tuple(console.tail()))
    except InfraError as error:
        made = replace(made, verdict=Verdict.INFRA, reason="; ".join(str(error).split("\n    ")))
    return replace(made, seconds=time.monotonic() - began)


def _boot(
    bench: Bench, console: Console, made: Attempt, wanted: Wanted, patience: Patience, *, line_works: bool
) -> Attempt:
    before, gaps = console.another_boot(), len(console.gaps)
    start = time.monotonic()
    bench.on()
    made = replace(made, switch_seconds=time.monotonic() - start)
    seen = console.wait_marker(patience.boot) or _recovered(console, patience)
    if seen is None:
        verdict, reason = _no_marker(console, before, gaps, patience, line_works=line_works)
        return replace(made, verdict=verdict, reason=reason)
    marker, since = seen.data, None if math.isnan(seen.at) else seen.at - start
    made = replace(made, marker=marker, console_bytes=None if since is None else seen.before)
    made = replace(made, told=told.ask(console, marker, patience.answer))
    try:
        facts, counters = bench.facts, clocks.parse(marker)
        phases = clocks.phases(counters, frequency=facts.frequency, since_power=since, powered=facts.powered)
        if console.markers > 1:
            raise clocks.Nonsense(f"{console.markers} @boot lines came: the board was reset on the way")
    except clocks.Nonsense as error:
        return replace(made, verdict=Verdict.INVALID, reason=str(error))
    if wanted.disk_id is not None and made.told.get("disk_id") is None:
        why = made.told.get("silent", "its kernel log has no PARTUUID")
        return replace(made, verdict=Verdict.INFRA, reason=f"the board could not be asked which image it runs: {why}")
    if wanted.disk_id not in (None, made.told.get("disk_id")):
        reason = f"another image answered: its disk id is {made.told['disk_id']}, and {wanted.disk_id} was flashed"
        return replace(made, verdict=Verdict.INVALID, reason=reason, other_image=True)
    if facts.by_hand:
        phases["power_to_ready_host"] = None
    gated = phases[clocks.GATED]
    assert gated is not None
    made = replace(made, phases=phases, verdict=Verdict.PASS)
    if gated >= wanted.limit:
        reason = f"kernel entry -> ready took {gated:.3f} s (estimated); the limit is {wanted.limit:.3f} s"
        made = replace(made, verdict=Verdict.FAIL, reason=reason)
    return made


def _recovered(console: Console, patience: Patience) -> Marker | None:
    """An @boot line that noise took: the board keeps it. None, and `_no_marker` says why, where it cannot be had."""
    if console.panicked or console.failure is not None or console.closed:
        return None
    seconds = min(patience.answer, 10.0)
    try:
        if (marker := console.recover_marker(seconds)) is not None:
            return marker
        # Not even its beginning was recognised: its time on the host's clock is lost, the board's own is not.
        return Marker(console.ask_boot(seconds), 0, math.nan, asked=True)
    except (Timeout, ValueError, InfraError):
        return None


def _no_marker(
    console: Console, before: int, gaps: int, patience: Patience, *, line_works: bool
) -> tuple[Verdict, str]:
    """The verdict on a boot that has no @boot line, and why. It began at offset `before`, after so many `gaps`."""
    raw = console.since(before)
    if console.failure is not None:
        stage, errno = console.failure.get("stage"), console.failure.get("errno")
        return Verdict.FAIL, f"PID 1 could not get to ready: {stage} failed (errno {errno})"
    if console.panicked:
        return Verdict.FAIL, "the kernel panicked or oopsed before ready"
    if console.closed or len(console.gaps) > gaps:
        return Verdict.INFRA, "the serial line went away during the boot"
    if any(frame.startswith(b"@boot") for frame in console.damaged):
        return Verdict.INFRA, "the @boot line was damaged on its way, and could not be had again"
    if not raw.strip(b"\0"):
        if line_works:
            return Verdict.FAIL, f"the board said nothing in {patience.boot:.0f} s, on a line that worked before"
        return Verdict.INFRA, f"nothing came in {patience.boot:.0f} s, and the line has not been heard in this run"
    readable = sum(32 <= byte < 127 or byte in b"\r\n\t\x1b" for byte in raw)
    if readable < 0.7 * len(raw):
        return Verdict.INFRA, "what came is no text: the wrong baud rate, or a bad cable"
    return Verdict.FAIL, f"no @boot line within {patience.boot:.0f} s, although the board spoke"
