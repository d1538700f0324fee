# SPDX-License-Identifier: MIT
"""One boot as facts: what was counted, what the board said, and what went wrong on the way. No verdicts here."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protopi.boot import judge
from protopi.boot.console import Console, Marker, Timeout
from protopi.boot.qemu import Counts, Machine, Options, enlarge
from protopi.errors import InfraError

if TYPE_CHECKING:
    from protopi.boot.board import Board
    from protopi.boot.tools import Tools

#: Host seconds for a boot to ready (it takes 2 to 5), and for an answer of the report service.
BOOT_SECONDS, ANSWER_SECONDS = 120.0, 80.0
#: Host seconds until the services must have settled, and between two looks. Virtual time runs faster than the host's.
SETTLE_SECONDS, SETTLE_PAUSE = 30.0, 0.7


@dataclass(frozen=True, slots=True)
class Record:
    """Facts of one boot.

    `fault` says why there is no marker ("" when there is one); `kmsg`, `services` and `disk` are None where the board
    gave no answer; `tail` holds the last console lines; `seconds` is host time.
    """

    marker: dict[str, Any] | None
    fault: str
    console_bytes: int
    counts: Counts
    kmsg: bytes | None = None
    services: bytes | None = None
    disk: bytes | None = None
    unanswered: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    seconds: float = 0.0
    log: bytes = field(default=b"", repr=False)


def fault_of(console: Console, exit_status: int | None, seconds: float) -> str:
    """Why no marker came, in words."""
    if console.panicked:
        return "the kernel panicked or oopsed before ready"
    if console.failure is not None:
        stage, errno = console.failure.get("stage"), console.failure.get("errno")
        return f"PID 1 could not get to ready: {stage} failed (errno {errno})"
    if any(frame.startswith(b"@boot") for frame in console.damaged):
        return "the @boot marker came with a bad CRC"
    if console.closed or exit_status is not None:
        return f"the machine stopped before the @boot marker (QEMU ended with {exit_status})"
    return f"no @boot marker within {seconds:.0f} s of host time"


def settled_services(console: Console) -> bytes:
    """The services, once two reports in a row agree and none is on its way up; else the last report.

    Services start after ready, so that the first answer would tell of a moment and not of the boot.
    """
    before, last = b"", b""
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        last = console.get("services", seconds=ANSWER_SECONDS)
        try:
            seen = judge.parse_services(last)
        except ValueError:
            break
        # Pids and counters move while something restarts: the whole text has to stay the same.
        if last == before and not judge.unsettled(seen):
            break
        before = last
        console.wait(lambda: False, SETTLE_PAUSE)
    return last


def watch(machine: Machine, *, seconds: float = BOOT_SECONDS, ask: tuple[str, ...] = ("services", "kmsg")) -> Record:
    """Follow a started machine to ready, ask it its reports, end it, and return the facts.

    Raises InfraError when QEMU itself did not run.
    """
    console = machine.console
    marker: Marker | None = console.wait_marker(seconds)
    answers: dict[str, bytes] = {}
    lost: list[str] = []
    fault = ""
    if marker is None:
        status = machine.wait(0.5)
        fault = fault_of(console, status, seconds)
        if console.panicked:
            console.wait(lambda: False, 1.0)  # the rest of what a panic prints
        if status not in (None, 0) and not console.raw:
            raise InfraError(f"QEMU ended with status {status} and no output: {machine.complaints()[-1000:]}")
    else:
        for what in ask:
            try:
                if what == "services":
                    answers[what] = settled_services(console)
                else:
                    answers[what] = console.get(what, seconds=ANSWER_SECONDS)
            except (Timeout, ValueError, InfraError) as error:
                lost.append(f"{what}: {error}")
                break
    taken = machine.seconds
    machine.stop()
    return Record(
        marker=marker.data if marker else None,
        fault=fault,
        console_bytes=marker.before if marker else len(console.raw),
        counts=machine.counts(),
        kmsg=answers.get("kmsg"),
        services=answers.get("services"),
        disk=answers.get("disk"),
        unanswered=tuple(lost),
        tail=tuple(console.tail()),
        seconds=taken,
        log=console.raw,
    )


def boot_once(image: Path, board: Board, tools: Tools, options: Options, *, seconds: float = BOOT_SECONDS) -> Record:
    """Boot the image once and return the facts."""
    with Machine(image, board, tools, options) as machine:
        return watch(machine, seconds=seconds)


def boot_enlarged(image: Path, board: Board, tools: Tools, plugin: Path | None) -> tuple[Record, Record | None]:
    """The first boot on a copy that is twice as long, as on a larger card, and the second boot of that copy.

    There is no second one when the first did not reach ready.
    """
    folder = Path(tempfile.mkdtemp(prefix="protopi-first-"))
    try:
        copy = enlarge(image, folder / "card.img")
        options = Options(plugin=plugin, keep=True)
        records: list[Record] = []
        while len(records) < 2 and (not records or records[0].marker is not None):
            with Machine(copy, board, tools, options) as machine:
                records.append(watch(machine, ask=("services", "disk", "kmsg")))
        return records[0], records[1] if len(records) == 2 else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
