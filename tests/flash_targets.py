# SPDX-License-Identifier: MIT
"""Cards for the tests of `flash`: memory that counts, remembers the order of writes, or fails in a chosen way."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from protopi.bmap import BLOCK


class Sparse:
    """A card of any size in memory: only blocks that were written take room; others hold `fill`."""

    device = True

    def __init__(self, size: int, name: str = "card", fill: int = 0xA5) -> None:
        self.name, self.size = name, size
        self.blocks: dict[int, bytes] = {}
        self.empty = bytes([fill]) * BLOCK
        self.bytes_written = 0

    def write(self, offset: int, data: memoryview) -> None:
        """See Target.write."""
        if offset < 0 or offset + len(data) > self.size:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.bytes_written += len(data)
        self.put(offset, bytes(data))

    def put(self, offset: int, data: bytes) -> None:
        """Change bytes, uncounted."""
        at = 0
        while at < len(data):
            number, inside = divmod(offset + at, BLOCK)
            piece = data[at : at + BLOCK - inside]
            old = self.blocks.get(number, self.empty)
            self.blocks[number] = old[:inside] + piece + old[inside + len(piece) :]
            at += len(piece)

    def get(self, offset: int, length: int) -> bytes:
        """What lies there."""
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        whole = b"".join(self.blocks.get(number, self.empty) for number in range(first, last + 1))
        return whole[offset - first * BLOCK :][:length]

    def read(self, offset: int, into: memoryview) -> None:
        """See Target.read."""
        if offset < 0 or offset + len(into) > self.size:
            raise OSError(errno.ENXIO, "No such device or address")
        into[:] = self.get(offset, len(into))

    def flush(self) -> None:
        """See Target.flush."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One write; `data` empty: a flush."""

    offset: int
    data: bytes


class Recorder(Sparse):
    """Remembers every write and flush in order."""

    def __init__(self, size: int, old: bytes = b"") -> None:
        super().__init__(size)
        self.put(0, old)
        self.log: list[Logged] = []

    def write(self, offset: int, data: memoryview) -> None:
        """See Target.write."""
        super().write(offset, data)
        self.log.append(Logged(offset, bytes(data)))

    def flush(self) -> None:
        """See Target.flush."""
        self.log.append(Logged(0, b""))


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault: its kind, the byte it is about, the number of bytes or of the operation, a bit."""

    kind: str
    offset: int = 0
    number: int = 0
    bit: int = 0


#: What can go wrong, and what `flash` has to call the likelier cause ("": any).
KINDS = {
    "flip on writing": "card",
    "flip on reading": "way",
    "dropped write": "card",
    "torn write": "card",
    "stuck block": "card",
    "short device": "capacity",
    "aliased capacity": "capacity",
    "bad block on reading": "card",
    "detach on writing": "way",
    "detach on reading": "way",
}


class Faulty(Sparse):
    """A card with one fault."""

    def __init__(self, size: int, fault: Injected) -> None:
        super().__init__(size)
        self.fault = fault
        self.writes = self.reads = 0
        self.fired = False
        self.gone = False

    def _hit(self, offset: int, length: int) -> bool:
        return offset <= self.fault.offset < offset + length

    def _check_gone(self) -> None:
        if self.gone:
            self.fired = True
            raise OSError(errno.ENODEV, "No such device")

    def write(self, offset: int, data: memoryview) -> None:
        """See Target.write."""
        self.writes += 1
        kind, at = self.fault.kind, self.fault.offset
        self.gone |= kind == "detach on writing" and self.writes > self.fault.number
        self._check_gone()
        content = bytearray(data)
        if kind == "flip on writing" and self._hit(offset, len(data)):
            content[at - offset] ^= 1 << self.fault.bit
            self.fired = True
        elif kind == "dropped write" and self._hit(offset, len(data)):
            self.fired = True
            return
        elif kind == "torn write" and self._hit(offset, len(data)):
            del content[at - offset :]
            self.fired = True
        elif kind == "short device" and offset + len(data) > self.fault.number:
            self.fired = True
            raise OSError(errno.EIO, "Input/output error")
        elif kind == "aliased capacity" and self.fault.number <= offset:
            offset %= self.fault.number
            self.fired = True
        if kind == "stuck block":
            start = at // BLOCK * BLOCK - offset
            if -BLOCK < start < len(content):
                self.fired = True
                first, last = max(start, 0), min(start + BLOCK, len(content))
                content[first:last] = self.get(offset + first, last - first)
        super().write(offset, memoryview(bytes(content)))

    def read(self, offset: int, into: memoryview) -> None:
        """See Target.read."""
        self.reads += 1
        kind = self.fault.kind
        self.gone |= kind == "detach on reading" and self.reads > self.fault.number
        self._check_gone()
        if kind == "bad block on reading" and self._hit(offset, len(into)):
            self.fired = True
            raise OSError(errno.EIO, "Input/output error")
        if kind == "short device" and offset + len(into) > self.fault.number:
            self.fired = True
            raise OSError(errno.EIO, "Input/output error")
        if kind == "aliased capacity" and self.fault.number <= offset:
            offset %= self.fault.number
        super().read(offset, into)
        if kind == "flip on reading" and not self.fired and self._hit(offset, len(into)):
            into[self.fault.offset - offset] ^= 1 << self.fault.bit
            self.fired = True
