# SPDX-License-Identifier: MIT
"""A stand-in for a board: boots are input data, played byte by byte over a pseudo-terminal to the real console class.

Its times are small, so that tests are quick; they pass for real on the host's clock, because the gate compares clocks.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from protopi.boot import frames
from protopi.errors import InfraError
from protopi.hwgate.attempt import Patience
from protopi.hwgate.bench import PI4_HZ, Facts
from protopi.hwgate.standin import Cable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from protopi.boot.console import Console

DISK = "1c4e9131"
QUICK = Patience(drain=0.02, off=0.08, boot=1.2, answer=0.8)


@dataclass(frozen=True, slots=True)
class Boot:
    """What one power-on does.

    entry, within   seconds kernel entry -> ready, and of it PID 1 -> ready
    firmware        seconds from power-on to kernel entry
    timer           the board reads its system timer
    frequency       of the counter; `skew` seconds are added to the kernel's clock, `ahead` to the counter
    say             bytes instead of the @boot line, after `entry`; None: the line. `early` come before everything
    deaf            it answers no question; `damage` flips a byte of the @boot line; `chatter` comes all the time
    word            the report `board`; None: an image that has none
    switch          False: the power switch fails; `stays_on`: power-off has no effect
    """

    entry: float = 0.03
    within: float = 0.01
    firmware: float = 0.02
    timer: bool = False
    frequency: int = PI4_HZ
    skew: float = 0.0
    ahead: float = 0.0
    say: bytes | None = None
    early: bytes = b""
    deaf: bool = False
    damage: bool = False
    twice: bool = False
    chatter: bytes = b""
    disk_id: str | None = DISK
    switch: bool = True
    stays_on: bool = False
    card_init: float = 0.108
    word: bytes | None = b""
    marker: dict[str, Any] = field(default_factory=dict)

    def boot_line(self) -> bytes:
        """The @boot line of this boot."""
        ready = self.entry + self.ahead
        init = ready - self.within
        clock = {"init": init - 0.001, "ready": ready - 0.001 + self.skew}
        ticks = {"init": round(init * self.frequency), "ready": round(ready * self.frequency)}
        timer = {"init": None, "ready": None}
        if self.timer:
            power = self.firmware + self.entry
            timer = {"init": round((power - self.within) * 1e6), "ready": round(power * 1e6)}  # type: ignore[dict-item]
        data = {
            "v": 1,
            "cntfrq": self.frequency,
            "cntvct": ticks,
            "uptime_ns": {name: round(value * 1e9) for name, value in clock.items()},
            "st_us": timer,
            "root_sectors": 608,
            "mcp": {"abi": 1, "features": 0},
            **self.marker,
        }
        body = json.dumps(data, separators=(",", ":")).encode()
        return b"@boot " + body + b" " + frames.crc(body) + b"\n"

    def reports(self) -> dict[bytes, bytes]:
        """What it can be asked."""
        rows = {b"boot": self.boot_line(), b"kmsg": self.kmsg()}
        return rows if self.word is None else {**rows, b"board": self.word}

    def kmsg(self) -> bytes:
        """The kernel log."""
        root = f"root=PARTUUID={self.disk_id}-05 " if self.disk_id else ""
        lines = [
            (6, 0, f"Kernel command line: coherent_pool=1M {root}rootfstype=erofs ro"),
            (6, 10, "Machine model: Raspberry Pi 4 Model B Rev 1.4"),
            (6, 20, "Memory: 3880108K/4050944K available (8000K kernel code)"),
            (6, 100_000, "mmc0: SDHCI controller on fe340000.mmc [fe340000.mmc] using ADMA"),
            (6, 100_000 + round(self.card_init * 1e6), "mmc0: new ultra high speed DDR50 SDHC card at address aaaa"),
            (3, 300_000, "brcmfmac: something that only a board says"),
        ]
        return "".join(f"{level},{n},{us},-;{text}\n" for n, (level, us, text) in enumerate(lines)).encode()


class CannedBench:
    """Plays `boots` in their order, one a power-on; the last one again and again. A context manager."""

    def __init__(self, boots: Sequence[Boot], **facts: Any) -> None:
        self._boots, self._used = list(boots), 0
        given: dict[str, Any] = {
            "where": "stand-in: canned",
            "name": "desk",
            "frequency": PI4_HZ,
            "eeprom": "2025-05-08",
        }
        self.facts = Facts(**{**given, **facts})
        self._cable = Cable(pause=0.1)
        self._power = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._cable.close()

    @property
    def near(self) -> int:
        """The host's end of the line."""
        return self._cable.near

    def _stop(self) -> None:
        self._power.clear()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def listen(self) -> AbstractContextManager[Console]:
        """See Bench."""
        return self._cable.listen()

    def off(self) -> None:
        """See Bench."""
        if self._used and self._boots[min(self._used, len(self._boots)) - 1].stays_on:
            return
        self._stop()

    def on(self) -> None:
        """See Bench."""
        boot = self._boots[min(self._used, len(self._boots) - 1)]
        self._used += 1
        if not boot.switch:
            raise InfraError("the relay does not answer")
        self._stop()
        self._cable.drain()
        self._power.set()
        self._thread = threading.Thread(target=self._live, args=(boot,), name="canned board")
        self._thread.start()

    def _live(self, boot: Boot) -> None:
        end = time.monotonic() + boot.firmware + boot.entry
        self._say(boot.early)
        while self._power.is_set() and time.monotonic() < end:
            time.sleep(0.002)
        line = boot.boot_line()
        shown = line.replace(b'"v":1', b'"v":7') if boot.damage else line
        self._say(shown * (2 if boot.twice else 1) if boot.say is None else boot.say)
        heard = b""
        while self._power.is_set():
            self._say(boot.chatter)
            if not select.select([self._cable.far], [], [], 0.01)[0]:
                continue
            heard += os.read(self._cable.far, 65536)
            *questions, heard = heard.split(b"\n")
            for question in questions if not boot.deaf else ():
                self._say(answer(question, boot.reports()))

    def _say(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._cable.far, data)


def answer(question: bytes, reports: dict[bytes, bytes]) -> bytes:
    """What the report service of init/report.c says to a question."""
    body = frames.check(question)
    if body is None:
        return b""
    seq, nonce, what, offset, length, part = body.split(b" ")
    if what not in reports:
        text = b" ".join((seq, nonce, b"what"))
        return b"@err " + text + b" " + frames.crc(text) + b"\n"
    sealed = reports[what] + frames.crc(reports[what])
    end = int(offset) + int(length) if int(length) else len(sealed)
    said = b""
    for at in range(int(offset), min(end, len(sealed)), int(part)):
        piece = base64.b64encode(sealed[at : min(at + int(part), end)])
        text = b" ".join((seq, nonce, b"%d" % at, b"%d" % len(sealed), piece))
        said += b"@part " + text + b" " + frames.crc(text) + b"\n"
    return said
