# SPDX-License-Identifier: MIT
"""The host's end of a board's console, be the board QEMU or a real one behind a serial line.

A reader thread takes the bytes, notes when they came (CLOCK_MONOTONIC), keeps them (in memory, and in a file if
asked) and takes the frames out of them (protopi.boot.frames). A line loses and changes bytes, stalls, and is unplugged:
what is missing is asked for again, and nothing counts that its checksum does not cover.
Lock rule: `_changed` guards everything that the thread writes.
"""

from __future__ import annotations

import base64
import bisect
import json
import re
import secrets
import threading
import time
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from protopi.boot.frames import PART, Answer, Frame, Frames, request, unseal
from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PANIC = re.compile(
    rb"(Kernel panic - not syncing|Internal error: |Unable to handle kernel|\] BUG: |kernel BUG at |-+\[ cut here \]-+)"
)
#: A line without an end is cut after so many bytes: no frame is that long, and noise may never send an end.
_MAX_LINE = 65536
#: Smallest part that is asked for (a frame of 66 bytes), parts in a question, copies of a question, fresh readings.
_SMALLEST, _WINDOW, _COPIES, _READINGS = 24, 64, 3, 3
#: Seconds of silence after which the rest is asked for again, at first and at most.
PAUSE, _MAX_PAUSE = 1.0, 4.0


class Timeout(Exception):
    """The board said nothing (more) in time."""


class Gap(Exception):
    """The line was interrupted: bytes may be lost. It works again, or will be tried again."""


class Line(Protocol):
    """What a console reads from and writes to."""

    def read(self) -> bytes:
        """Wait for bytes; b"" is the end. Raises Gap after an interruption, OSError at a bad end."""

    def write(self, data: bytes) -> object:
        """Send bytes. Raises Gap while the line is interrupted, OSError when it is gone."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The `@boot` line: its JSON, the console bytes before it, when its first byte came (CLOCK_MONOTONIC, seconds).

    `asked`: the line itself came damaged; the report service gave its text afterwards.
    """

    data: dict[str, Any]
    before: int
    at: float
    asked: bool = False


class Console:
    """Reads the console in a thread of its own until `read` returns b"" (end) or raises OSError.

    `log` gets the raw bytes as they come. `pause`: how long the line may be silent before a question is repeated.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        write: Callable[[bytes], object],
        *,
        log: Path | None = None,
        pause: float = PAUSE,
    ) -> None:
        self._read, self._write, self._pause = read, write, pause
        self._log = log.open("ab", buffering=0) if log is not None else None
        self._changed = threading.Condition()
        self._raw = bytearray()
        self._stamp_at, self._stamps = array("Q"), array("d")
        self._line = bytearray()
        self._line_at = 0
        self._frames = Frames()
        self._begin = 0
        self._markers: list[Marker] = []
        self._panic = False
        self._failure: dict[str, Any] | None = None
        self._answers: dict[tuple[int, bytes], Answer] = {}
        self._gaps: list[tuple[int, float, str]] = []
        self._closed = False
        self._fault = ""
        self._seq = 0
        # What the line bears, learned from one question to the next.
        self._part, self._copies = PART, 1
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)

    @classmethod
    def on(cls, line: Line, *, log: Path | None = None, pause: float = PAUSE) -> Console:
        """A console on a line, reading already."""
        return cls(line.read, line.write, log=log, pause=pause).start()

    # ---- the reader's side

    def start(self) -> Console:
        """Begin to read."""
        self._thread.start()
        return self

    def join(self, seconds: float = 5.0) -> bool:
        """Wait until the reader has ended, after the line was closed; False when it has not."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._step():
                pass
        finally:  # also after a bug: whoever waits must not wait for ever
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            if self._log is not None:
                self._log.close()

    def _step(self) -> bool:
        """Take what comes next; False at the end."""
        data, gap, fault = b"", "", ""
        try:
            data = self._read()
        except Gap as interruption:
            gap = str(interruption) or "the line was interrupted"
        except (OSError, ValueError) as error:
            fault = str(error)
        now = time.monotonic()
        if data and self._log is not None:
            try:
                self._log.write(data)
            except OSError as error:
                data, fault = b"", f"{self._log.name}: {error.strerror}"
        with self._changed:
            if data:
                self.feed(data, now)
            elif gap:
                self._interrupt(gap, now)
            else:
                self._fault = fault
            self._changed.notify_all()
        return bool(data or gap)

    def _interrupt(self, why: str, at: float) -> None:
        self._gaps.append((len(self._raw), at, why))
        self._line = bytearray()
        self._frames.cut()

    def feed(self, data: bytes, at: float | None = None) -> None:
        """Take bytes in that came at `at` (called by the thread with the lock held; tests call it directly)."""
        self._stamp_at.append(len(self._raw))
        self._stamps.append(time.monotonic() if at is None else at)
        for piece in data.splitlines(keepends=True):
            if not self._line:
                self._line_at = len(self._raw)
            self._raw += piece
            self._line += piece
            if piece.endswith(b"\n") or len(self._line) > _MAX_LINE:
                line, self._line = bytes(self._line), bytearray()
                self._take(line.rstrip(b"\r\n"), self._line_at)

    def _take(self, line: bytes, at: int) -> None:
        if _PANIC.search(line):
            self._panic = True
        for frame in self._frames.take(line, at):
            try:
                self._use(frame)
            except (ValueError, IndexError, RecursionError):
                self._frames.damaged.append((frame.at, line))

    def _use(self, frame: Frame) -> None:
        words = frame.body.split(b" ")
        if frame.word == "boot":
            data = json.loads(frame.body)
            if not isinstance(data, dict):
                raise ValueError("not an object")
            self._markers.append(Marker(data, frame.at - self._begin, self._when(frame.at)))
        elif frame.word == "fail":
            self._failure = dict(json.loads(frame.body))
        elif (answer := self._answers.get((int(words[0]), words[1]))) is not None:
            if frame.word == "part":
                answer.add(int(words[2]), int(words[3]), base64.b64decode(words[4], validate=True))
            else:
                answer.error = words[2].decode("ascii", "replace")

    def _when(self, offset: int) -> float:
        index = bisect.bisect_right(self._stamp_at, offset) - 1
        return self._stamps[max(index, 0)]

    # ---- the host's side

    @property
    def raw(self) -> bytes:
        """Everything that came, as it came."""
        with self._changed:
            return bytes(self._raw)

    @property
    def size(self) -> int:
        """How many bytes came."""
        with self._changed:
            return len(self._raw)

    def since(self, offset: int) -> bytes:
        """What came from a stream offset on."""
        with self._changed:
            return bytes(self._raw[offset:])

    @property
    def closed(self) -> bool:
        """Whether the other end has gone."""
        with self._changed:
            return self._closed

    @property
    def panicked(self) -> bool:
        """Whether a panic or an oops was seen in plain text."""
        with self._changed:
            return self._panic

    @property
    def failure(self) -> dict[str, Any] | None:
        """What `@fail` said: the stage at which PID 1 gave up, and the errno."""
        with self._changed:
            return self._failure

    @property
    def damaged(self) -> list[bytes]:
        """Frames whose CRC is wrong and that could not be put together again."""
        with self._changed:
            return [frame for _, frame in self._frames.damaged]

    @property
    def markers(self) -> int:
        """How many `@boot` lines came: more than one means that the board was reset."""
        with self._changed:
            return len(self._markers)

    @property
    def gaps(self) -> list[tuple[int, float, str]]:
        """Interruptions of the line: stream offset, host clock, what happened."""
        with self._changed:
            return list(self._gaps)

    def when(self, offset: int) -> float:
        """When the byte at a stream offset was read (CLOCK_MONOTONIC, seconds). Raises IndexError before it came."""
        with self._changed:
            if not 0 <= offset < len(self._raw):
                raise IndexError(f"byte {offset} has not come")
            return self._when(offset)

    def heard(self) -> float | None:
        """When the last byte was read (CLOCK_MONOTONIC, seconds); None: none was."""
        with self._changed:
            return self._stamps[-1] if self._stamps else None

    def another_boot(self) -> int:
        """Forget markers, panics, failures and damaged frames: another boot begins. Returns the stream offset of it."""
        with self._changed:
            self._begin = len(self._raw)
            self._line, self._frames = bytearray(), Frames()
            self._markers, self._panic, self._failure = [], False, None
            return self._begin

    def tail(self, lines: int = 12) -> list[str]:
        """The last lines of the console without report frames, long ones cut, control characters made visible."""
        with self._changed:
            raw = bytes(self._raw[-262144:])
        text = re.sub(rb"@part [^\n]*(\n|$)", b"", raw)[-16384:].decode("utf-8", "backslashreplace").replace("\r", "")
        rows = [re.sub(r"[^\x20-\x7e\xa0-\uffff]", "?", row)[:160] for row in text.split("\n")]
        return [row for row in rows if row.strip()][-lines:]

    def wait(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Wait until `ready()` (called with the lock held), the end of the console, or the deadline."""
        end = time.monotonic() + seconds
        with self._changed:
            while not ready():
                left = end - time.monotonic()
                if self._closed or left <= 0:
                    return ready()
                self._changed.wait(min(left, 0.5))
            return True

    def wait_beyond(self, offset: int, seconds: float) -> bool:
        """Wait until more than `offset` bytes came, the end of the console, or the deadline."""
        return self.wait(lambda: len(self._raw) > offset, seconds)

    def silence(self, quiet: float, seconds: float) -> bool:
        """Wait until nothing came for `quiet` seconds, from now on; False when `seconds` were not enough for that."""
        start = time.monotonic()
        while True:
            now = time.monotonic()
            last = max(start, self.heard() or start)
            if now - last >= quiet:
                return True
            if now - start >= seconds:
                return False
            time.sleep(min(quiet - (now - last), 0.1))

    def wait_marker(self, seconds: float, count: int = 1) -> Marker | None:
        """The marker number `count`, or None: a panic, `@fail`, a damaged one, the end or the deadline."""
        self.wait(
            lambda: (
                len(self._markers) >= count
                or self._panic
                or self._failure is not None
                or any(frame.startswith(b"@boot") for _, frame in self._frames.damaged)
            ),
            seconds,
        )
        with self._changed:
            return self._markers[count - 1] if len(self._markers) >= count else None

    def recover_marker(self, seconds: float = 10.0) -> Marker | None:
        """Where `@boot` came damaged: the same text from the report service, with the damaged line's place and stamp.

        None when no damaged one came. Raises Timeout when the board does not answer.
        """
        with self._changed:
            at = next((at for at, frame in self._frames.damaged if frame.startswith(b"@boot")), None)
            if at is None:
                return None
            when = self._when(at)
        marker = Marker(self.ask_boot(seconds), at - self._begin, when, asked=True)
        with self._changed:
            self._markers.append(marker)
            self._frames.damaged = [one for one in self._frames.damaged if one[0] != at]
        return marker

    def ask_boot(self, seconds: float) -> dict[str, Any]:
        """The JSON of the `@boot` line, which the report service keeps. Raises Timeout, ValueError, InfraError."""
        line = self.get("boot", seconds=seconds)
        found = Frames().take(line.strip(), 0)
        data = json.loads(found[0].body) if found and found[0].word == "boot" else None
        if not isinstance(data, dict):
            raise Timeout(f"the board's answer is no @boot line: {line[:80]!r}")
        return data

    def send(self, data: bytes) -> None:
        """Type something."""
        try:
            self._write(data)
        except Gap as gap:
            raise InfraError(f"the console is away: {gap}", hint="look at the cable and the adapter") from gap
        except OSError as error:
            raise InfraError(f"the console is gone: {error}") from error

    def get(self, what: str, *, seconds: float = 30.0) -> bytes:
        """Ask the report service for `what`; asks again for what is lost or damaged, in smaller parts on a bad line.

        `seconds`: how long nothing new may come. Raises Timeout when that is over, ValueError when the board knows no
        `what`, InfraError when the console has gone.
        """
        for _ in range(_READINGS):
            with self._changed:
                self._seq += 1
                key = (self._seq, secrets.token_hex(4).encode())
                answer = self._answers[key] = Answer()
            try:
                self._collect(key, what, answer, seconds)
            finally:
                with self._changed:
                    del self._answers[key]
            report = unseal(answer.stream) if answer.complete and not answer.mixed and not answer.error else None
            if report is not None:
                return report
            if answer.error and answer.error != "offset":
                raise ValueError(f"the board gives no report {what!r}: {answer.error}")
        raise Timeout(f"the answers to @get {what} were of different readings, {_READINGS} times")

    def _collect(self, key: tuple[int, bytes], what: str, answer: Answer, seconds: float) -> None:
        """Ask until the answer is complete, mixed or an error."""
        pause, questions = self._pause, 0
        progress = time.monotonic()
        while not (answer.complete or answer.mixed or answer.error):
            with self._changed:
                runs = answer.missing(self._part, _WINDOW)
                if answer.total < 0:
                    # On a good line the first question is the only one.
                    runs = [(0, 0 if self._part == PART else self._part * _WINDOW)]
                before, heard = answer.received, len(self._raw)
            lines = b"".join(request(key, what, offset, length, self._part) for offset, length in runs)
            questions += 1
            try:
                self._write(lines * self._copies)
            except Gap:
                time.sleep(min(pause, 0.2))  # it is being opened again, and the question is repeated
            except OSError as error:
                raise InfraError(f"the console is gone: {error}") from error
            self._listen(answer, runs, pause)
            with self._changed:
                got, spoke, closed, fault = answer.received - before, len(self._raw) > heard, self._closed, self._fault
            if got:
                progress = time.monotonic()
            if answer.complete and questions == 1:
                self._part, self._copies = min(PART, self._part * 2), max(1, self._copies - 1)
            if answer.complete or answer.mixed or answer.error:
                return
            if closed:
                raise Timeout(f"no complete answer to @get {what}: the console ended {fault}".rstrip())
            if time.monotonic() - progress > seconds:
                raise Timeout(
                    f"no complete answer to @get {what} after {questions} questions: {answer.received} of "
                    f"{answer.total if answer.total >= 0 else 'unknown'} bytes, nothing new for {seconds:g} s"
                )
            wanted = sum(length for _, length in runs) or PART * 2
            if spoke:
                pause = self._pause
                if got * 2 < wanted:
                    self._part = max(_SMALLEST, self._part // 4)
            else:
                # The question was lost, or the board is slow: more of the first, more time for the second.
                self._copies = min(_COPIES, self._copies + 1)
                pause = min(pause * 2, max(_MAX_PAUSE, self._pause))

    def _listen(self, answer: Answer, runs: list[tuple[int, int]], pause: float) -> None:
        """Wait until all that was asked for is there, or the line is silent for `pause` seconds."""
        start = time.monotonic()
        with self._changed:
            while not (answer.mixed or answer.error or self._closed) and answer.lacks(runs):
                now = time.monotonic()
                last = max(start, self._stamps[-1] if self._stamps else start)
                # A board that never stops talking must not keep a lost question from being repeated.
                if now - last >= pause or now - start >= 30 * pause:
                    return
                self._changed.wait(min(pause - (now - last), 0.5))
