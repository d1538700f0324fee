# SPDX-License-Identifier: MIT
"""The framed lines of the console, taken out of a noisy stream. Pure: no I/O, no clock.

`@boot JSON CRC` comes once, after ready; `@fail JSON CRC` when PID 1 could not get there. The board's report service
is asked `@get SEQ NONCE WHAT OFFSET LENGTH PART CRC` and answers in `@part SEQ NONCE OFFSET TOTAL BASE64 CRC` lines, or
in `@err SEQ NONCE WORD CRC`; the last eight of TOTAL bytes are the checksum of the others (init/report.c).
Everything else is text. The kernel may print in the middle of a frame: such a frame is put together again, and the CRC
alone decides what is one.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

#: Bytes of a report that one frame carries at most, and bytes of the seal at a report's end.
PART, SEAL = 512, 8
#: Larger than any report.
_LARGEST = 64 << 20
_KERNEL = re.compile(rb"\[ *\d+\.\d{6}\]")
_FRAME = re.compile(rb"@(boot|part|err|fail) ")
#: A frame broken by kernel text is continued within this many lines, or never.
_MAX_BROKEN = 16


def crc(text: bytes) -> bytes:
    """CRC-32 (the one of zlib) as eight lower-case hex digits."""
    return b"%08x" % binascii.crc32(text)


def intact(body: bytes, given: bytes) -> bool:
    """Whether a checksum is that of `body`: the one place where that is decided, for frames and for whole reports."""
    return given == crc(body)


def check(frame: bytes) -> bytes | None:
    """The body of `@word BODY CRC`, or None when the CRC is not that of the body."""
    words = frame.strip().split(b" ", 1)
    if len(words) != 2:
        return None
    body, _, given = words[1].rpartition(b" ")
    return body if intact(body, given) else None


def unseal(stream: bytes) -> bytes | None:
    """The report, or None when its seal is not its own (parts of two readings)."""
    report = stream[:-SEAL]
    return report if intact(report, stream[-SEAL:]) else None


def request(key: tuple[int, bytes], what: str, offset: int, length: int, part: int) -> bytes:
    """The line that asks for `length` bytes (0: all) of a report from `offset` on, in frames of `part` bytes."""
    body = b"%d %s %s %d %d %d" % (*key, what.encode(), offset, length, part)
    return b"@get %s %s\n" % (body, crc(body))


@dataclass(frozen=True, slots=True)
class Frame:
    """An undamaged frame: its word ("boot", "part", ...), its body, and the stream offset at which it began."""

    word: str
    body: bytes
    at: int


@dataclass(slots=True)
class Frames:
    """Takes lines, gives frames; `damaged` keeps the start of each that could not be saved, with its offset."""

    damaged: list[tuple[int, bytes]] = field(default_factory=list)
    _broken: tuple[bytes, int, int] | None = None  # start of a frame, its offset, lines it has waited

    def take(self, line: bytes, at: int) -> list[Frame]:
        """The frames that end in this line (without its end), which began at stream offset `at`."""
        found = [match.start() for match in _FRAME.finditer(line)]
        if self._broken:
            start, start_at, waited = self._broken
            if not found and _KERNEL.match(line) and waited < _MAX_BROKEN:
                self._broken = (start, start_at, waited + 1)
                return []
            self._broken = None
            if not found:
                return self._try(start + line, start_at, waited + 1)
            self.damaged.append((start_at, start))
        frames = []
        # Where a line's end was lost, it holds several frames; any of them may be whole.
        for begin, end in zip(found, [*found, len(line)][1:], strict=True):
            frames += self._try(line[begin:end], at + begin, 0)
        return frames

    def cut(self) -> None:
        """The line was interrupted: what had begun does not go on."""
        if self._broken:
            self.damaged.append((self._broken[1], self._broken[0]))
            self._broken = None

    def _try(self, frame: bytes, at: int, waited: int) -> list[Frame]:
        body = check(frame)
        if body is not None:
            return [Frame(frame[1 : frame.index(b" ")].decode(), body, at)]
        stamp = _KERNEL.search(frame)
        if stamp and waited < _MAX_BROKEN:
            # Kernel text to the end of the line: what comes in the next line belongs to the frame again.
            self._broken = (frame[: stamp.start()], at, waited)
        else:
            self.damaged.append((at, frame))
        return []


@dataclass(slots=True)
class Answer:
    """What came of one reading so far: the bytes that are there, out of `total` (-1: nothing came yet).

    `mixed`: parts do not agree on the total, so they are of two readings.
    """

    total: int = -1
    error: str = ""
    mixed: bool = False
    _bytes: bytearray = field(default_factory=bytearray)
    _have: bytearray = field(default_factory=bytearray)
    received: int = 0

    def add(self, offset: int, total: int, data: bytes) -> None:
        """A part came. Raises ValueError when it can be no part of such a report."""
        if offset < 0 or offset + len(data) > total or not data or total > _LARGEST:
            raise ValueError("a part outside its report")
        if self.total < 0:
            self.total, self._bytes, self._have = total, bytearray(total), bytearray(total)
        if total != self.total:
            self.mixed = True
            return
        end = offset + len(data)
        self.received += self._have.count(0, offset, end)
        self._bytes[offset:end] = data
        self._have[offset:end] = b"\1" * len(data)

    @property
    def complete(self) -> bool:
        """Whether every byte is there."""
        return self.total >= 0 and self.received == self.total

    @property
    def stream(self) -> bytes:
        """The report with its seal; only once it is complete."""
        return bytes(self._bytes)

    def lacks(self, runs: list[tuple[int, int]]) -> bool:
        """Whether a byte of these (offset, length) runs is missing; length 0 means to the end."""
        return self.total < 0 or any(
            self._have.find(0, offset, offset + length if length else self.total) >= 0 for offset, length in runs
        )

    def missing(self, part: int, limit: int) -> list[tuple[int, int]]:
        """Up to `limit` parts' worth of what is missing, as (offset, length) runs; near ones are asked for as one."""
        runs: list[tuple[int, int]] = []
        offset = self._have.find(0) if self.total >= 0 else -1
        left = part * limit
        while offset >= 0 and left > 0:
            end = self._have.find(1, offset)
            end = min(self.total if end < 0 else end, offset + left)
            left -= end - offset
            if runs and offset - sum(runs[-1]) < part:
                runs[-1] = (runs[-1][0], end - runs[-1][0])
            else:
                runs.append((offset, end - offset))
            offset = self._have.find(0, end)
        return runs
