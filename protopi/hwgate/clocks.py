# SPDX-License-Identifier: MIT
"""From the counters of one boot to its phases in seconds: what is exact, what is derived, and what is nonsense.

The kernel stamps no entry of its own. What stands in for it is the zero of the architected counter (cntvct). The boot
stub of the firmware (raspberrypi/tools, armstubs/armstub8.S) sets the counter to its crystal at 1:1 in its first
instructions, right before the kernel, and Linux never writes the counter. So `cntvct / cntfrq` at ready is the time
since the kernel's first instruction, plus whatever the counter had counted before: an estimate of kernel entry -> ready
that can only be too long. The kernel's own clock starts after its entry: it can only be too short. The truth lies
between the two; the gate takes the longer one. docs/board-gate.md has the argument in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How far the kernel's clock and the counter may disagree on PID 1 -> ready: both are the same crystal, read a system
#: call apart.
DISAGREE_SECONDS = 0.002
#: How far a counter may be ahead of the host's clock since power-on: the two crystals, and the stamp of a byte.
AHEAD_SECONDS = 0.050
#: No Pi 4's firmware is quicker than this from the SoC's reset to the kernel (3 to 5 s is usual).
FIRMWARE_SECONDS = 0.3


class Nonsense(ValueError):
    """The clocks of a boot contradict each other: no time can be taken from it."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What a phase is, and how it came about. `estimated` goes into every output beside the number."""

    title: str
    clock: str
    estimated: bool


#: From -> to, in the order of a report.
PHASES: dict[str, Phase] = {
    "power_to_ready_host": Phase(
        "power-on -> ready, seen by the host", "host's clock: power switched on -> first byte of @boot", True
    ),
    "power_to_ready": Phase("power-on -> ready", "1 MHz system timer of the SoC, which counts from its reset", False),
    "firmware": Phase("firmware", "system timer at ready, less the counter at ready", True),
    "entry_to_init": Phase("kernel entry -> PID 1", "architected counter; its zero stands for kernel entry", True),
    "init_to_ready": Phase("PID 1 -> ready", "architected counter", False),
    "entry_to_ready": Phase("kernel entry -> ready", "architected counter; its zero stands for kernel entry", True),
    "kernel_clock_at_ready": Phase(
        "kernel's own clock at ready", "starts after kernel entry: entry -> ready takes at least this", False
    ),
}
GATED = "entry_to_ready"


@dataclass(frozen=True, slots=True)
class Counters:
    """The numbers of an `@boot` line: ticks, nanoseconds of the kernel's clock, microseconds of the system timer."""

    frequency: int
    init: int
    ready: int
    kernel_init_ns: int
    kernel_ready_ns: int
    timer_ready_us: int | None


def parse(marker: Mapping[str, Any]) -> Counters:
    """Read an `@boot` line's JSON. Raises Nonsense when a number is missing or impossible."""
    try:
        timer = (marker.get("st_us") or {}).get("ready")
        made = Counters(
            frequency=_whole(marker["cntfrq"]),
            init=_whole(marker["cntvct"]["init"]),
            ready=_whole(marker["cntvct"]["ready"]),
            kernel_init_ns=_whole(marker["uptime_ns"]["init"]),
            kernel_ready_ns=_whole(marker["uptime_ns"]["ready"]),
            timer_ready_us=None if timer is None else _whole(timer),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Nonsense(f"the @boot line lacks a number: {error}") from error
    if made.frequency <= 0 or not 0 < made.init <= made.ready:
        raise Nonsense(f"the counter is impossible: {made.init} at PID 1, {made.ready} at ready, {made.frequency} Hz")
    if not 0 < made.kernel_init_ns <= made.kernel_ready_ns:
        raise Nonsense(f"the kernel's clock is impossible: {made.kernel_init_ns} ns, then {made.kernel_ready_ns} ns")
    return made


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value


def phases(
    counters: Counters, *, frequency: int | None, since_power: float | None, powered: bool = True
) -> dict[str, float | None]:
    """Seconds of each phase; None where nothing measured it.

    `frequency` is what the counter must run at (None: anything); `since_power` the host's seconds from just before
    power was switched on to the first byte of the @boot line (None: not stamped). `powered` is False for a machine
    that has no power to switch, no firmware, and a time of its own (QEMU): it has no phase before kernel entry.
    Raises Nonsense when the clocks contradict each other.
    """
    if frequency is not None and counters.frequency != frequency:
        raise Nonsense(f"the counter says {counters.frequency} Hz, and this board's runs at {frequency}")
    at_ready, at_init = counters.ready / counters.frequency, counters.init / counters.frequency
    kernel_ready, kernel_init = counters.kernel_ready_ns / 1e9, counters.kernel_init_ns / 1e9
    if kernel_ready > at_ready + DISAGREE_SECONDS:
        raise Nonsense(f"the kernel's clock ({kernel_ready:.3f} s) is older than the counter ({at_ready:.3f} s)")
    within, by_kernel = at_ready - at_init, kernel_ready - kernel_init
    if abs(within - by_kernel) > DISAGREE_SECONDS:
        raise Nonsense(f"PID 1 -> ready took {within:.3f} s by the counter, {by_kernel:.3f} s by the kernel's clock")
    if powered and since_power is not None and at_ready > since_power + AHEAD_SECONDS:
        raise Nonsense(f"the counter ran for {at_ready:.3f} s, and power was on for {since_power:.3f} s")
    whole = firmware = None
    if powered and counters.timer_ready_us is not None:
        whole = counters.timer_ready_us / 1e6
        firmware = whole - at_ready
        if firmware < FIRMWARE_SECONDS:
            raise Nonsense(
                f"the system timer says {whole:.3f} s at ready, the counter {at_ready:.3f} s: "
                "no firmware is that quick, so the counter's zero is not kernel entry"
            )
        if since_power is not None and whole > since_power + AHEAD_SECONDS:
            raise Nonsense(f"the system timer ran for {whole:.3f} s, and power was on for {since_power:.3f} s")
    return {
        "power_to_ready_host": since_power if powered else None,
        "power_to_ready": whole,
        "firmware": firmware,
        "entry_to_init": at_init,
        "init_to_ready": within,
        "entry_to_ready": at_ready,
        "kernel_clock_at_ready": kernel_ready,
    }
