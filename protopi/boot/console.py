# SPDX-License-Identifier: MIT
"""The host's end of the board's console: a reader thread, and the framed lines that carry facts.

`@boot JSON CRC32` comes once, after ready; `@fail JSON CRC32` when PID 1 could not get there. `@get SEQ NONCE WHAT`
asks the board's report service, which answers in `@part SEQ NONCE INDEX COUNT BASE64 CRC32` lines, or in
`@err SEQ NONCE WORD CRC32`. Everything else is text.
The kernel may print in the middle of a frame: such a frame is put together again, and the CRC alone decides.
Lock rule: `_changed` guards everything that the thread writes.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Callable

_KERNEL = re.compile(rb"\[ *\d+\.\d{6}\]")
_FRAME = re.compile(rb"@(boot|part|err|fail) ")
_PANIC = re.compile(
    rb"(Kernel panic - not syncing|Internal error: |Unable to handle kernel|\] BUG: |kernel BUG at |-+\[ cut here \]-+)"
)
#: A frame broken by kernel text is continued within this many lines, or never.
_MAX_BROKEN = 16


class Timeout(Exception):
    """The board said nothing (more) in time."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The `@boot` line: its JSON, how many console bytes came before it, and when (host clock, seconds)."""

    data: dict[str, Any]
    before: int
    at: float


def crc(text: bytes) -> bytes:
    """CRC-32 (the one of zlib) as eight lower-case hex digits."""
    return b"%08x" % binascii.crc32(text)


def check(frame: bytes) -> bytes | None:
    """The body of `@word BODY CRC32`, or None when the CRC is not that of the body."""
    words = frame.strip().split(b" ", 1)
    if len(words) != 2:
        return None
    body, _, given = words[1].rpartition(b" ")
    return body if given == crc(body) else None


class Console:
    """Reads the console in a thread of its own until `read` returns b"" (end) or raises OSError."""

    def __init__(self, read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
        self._read, self._write = read, write
        self._changed = threading.Condition()
        self._raw = bytearray()
        self._line = bytearray()
        self._line_at = 0
        self._broken: tuple[bytes, int, int] | None = None  # start of a frame, its offset, lines it has waited
        self._marker: Marker | None = None
        self._markers = 0
        self._damaged: list[bytes] = []
        self._panic = False
        self._failure: dict[str, Any] | None = None
        self._parts: dict[tuple[int, bytes], dict[int, bytes]] = {}
        self._counts: dict[tuple[int, bytes], int] = {}
        self._errors: dict[tuple[int, bytes], str] = {}
        self._closed = False
        self._seq = 0
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)

    # ---- the reader's side

    def start(self) -> Console:
        """Begin to read."""
        self._thread.start()
        return self

    def _run(self) -> None:
        while True:
            try:
                data = self._read()
            except (OSError, ValueError):
                data = b""
            with self._changed:
                if data:
                    self.feed(data)
                else:
                    self._closed = True
                self._changed.notify_all()
            if not data:
                return

    def feed(self, data: bytes) -> None:
        """Take console bytes in (called by the thread with the lock held; tests call it directly)."""
        for byte_line in data.splitlines(keepends=True):
            if not self._line:
                self._line_at = len(self._raw)
            self._raw += byte_line
            self._line += byte_line
            if byte_line.endswith(b"\n"):
                line, self._line = bytes(self._line), bytearray()
                self._take(line.rstrip(b"\r\n"), self._line_at)

    def _take(self, line: bytes, at: int) -> None:
        if _PANIC.search(line):
            self._panic = True
        if self._broken and not _FRAME.search(line):
            start, start_at, waited = self._broken
            if _KERNEL.match(line) and waited < _MAX_BROKEN:
                self._broken = (start, start_at, waited + 1)
                return
            self._broken = None
            self._frame(start + line, start_at, waited + 1)
            return
        if self._broken:
            self._damaged.append(self._broken[0])
            self._broken = None
        found = _FRAME.search(line)
        if found:
            self._frame(line[found.start() :], at + found.start(), 0)

    def _frame(self, frame: bytes, at: int, waited: int) -> None:
        body = check(frame)
        if body is None:
            stamp = _KERNEL.search(frame)
            if stamp and waited < _MAX_BROKEN:
                # Kernel text to the end of the line: what comes in the next line belongs to the frame again.
                self._broken = (frame[: stamp.start()], at, waited)
            else:
                self._damaged.append(frame)
            return
        words = body.split(b" ")
        try:
            if frame.startswith(b"@boot "):
                self._boot(json.loads(body), at)
            elif frame.startswith(b"@fail "):
                self._failure = dict(json.loads(body))
            elif frame.startswith(b"@part "):
                key = (int(words[0]), words[1])
                self._counts[key] = int(words[3])
                self._parts.setdefault(key, {})[int(words[2])] = base64.b64decode(words[4], validate=True)
            else:
                self._errors[int(words[0]), words[1]] = words[2].decode("ascii", "replace")
        except (ValueError, IndexError, binascii.Error):
            self._damaged.append(frame)

    def _boot(self, data: Any, at: int) -> None:
        if not isinstance(data, dict):
            raise ValueError("not an object")
        self._markers += 1
        if self._marker is None:
            self._marker = Marker(data, at, time.monotonic())

    # ---- the host's side

    @property
    def raw(self) -> bytes:
        """Everything that came, as it came."""
        with self._changed:
            return bytes(self._raw)

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
            return list(self._damaged)

    @property
    def markers(self) -> int:
        """How many `@boot` lines came: more than one means that the board was reset."""
        with self._changed:
            return self._markers

    def tail(self, lines: int = 12) -> list[str]:
        """The last lines of the console without report frames, long ones cut, control characters made visible."""
        raw = re.sub(rb"@part [^\n]*(\n|$)", b"", self.raw)
        text = raw[-16384:].decode("utf-8", "backslashreplace").replace("\r", "")
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

    def wait_marker(self, seconds: float, count: int = 1) -> Marker | None:
        """The first marker once `count` came, or None: a panic, `@fail`, a damaged one, the end or the deadline."""
        self.wait(
            lambda: (
                self._markers >= count
                or self._panic
                or self._failure is not None
                or any(frame.startswith(b"@boot") for frame in self._damaged)
            ),
            seconds,
        )
        with self._changed:
            return self._marker if self._markers >= count else None

    def send(self, data: bytes) -> None:
        """Type something."""
        try:
            self._write(data)
        except OSError as error:
            raise InfraError(f"the console is gone: {error}") from error

    def get(self, what: str, *, seconds: float = 10.0, attempts: int = 4) -> bytes:
        """Ask the report service for `what`; asks again, under a new number, when a part is lost or damaged.

        Raises Timeout when the board does not answer, ValueError when it knows no `what`.
        """
        for _ in range(attempts):
            self._seq += 1
            key = (self._seq, secrets.token_hex(4).encode())
            self.send(b"@get %d %s %s\n" % (key[0], key[1], what.encode()))
            while self._progress(key, seconds):
                with self._changed:
                    if key in self._errors:
                        raise ValueError(f"the board knows no report {what!r}: {self._errors[key]}")
                    parts, count = self._parts.get(key, {}), self._counts.get(key, -1)
                    if len(parts) == count:
                        return b"".join(parts[index] for index in sorted(parts))
            if self.closed:
                break
        raise Timeout(f"no complete answer to @get {what} after {attempts} attempts")

    def _progress(self, key: tuple[int, bytes], seconds: float) -> bool:
        """Wait until another part (or an error, or a damaged frame) came; False when it is time to ask again."""
        with self._changed:
            had, bad = len(self._parts.get(key, {})), len(self._damaged)
            if key in self._errors or (had and had == self._counts.get(key)):
                return True
        return self.wait(
            lambda: key in self._errors or len(self._parts.get(key, {})) > had or len(self._damaged) > bad, seconds
        ) and not (len(self.damaged) > bad and not self._grew(key, had))

    def _grew(self, key: tuple[int, bytes], had: int) -> bool:
        with self._changed:
            return len(self._parts.get(key, {})) > had or key in self._errors
