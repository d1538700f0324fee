# SPDX-License-Identifier: MIT
"""What went wrong with a card, where, and whether the card or the way to it is the likelier cause."""

from __future__ import annotations

import enum
import errno
from typing import TYPE_CHECKING

from protopi.bmap import BLOCK
from protopi.errors import InfraError
from protopi.flash.target import buffer
from protopi.mbr import SECTOR

if TYPE_CHECKING:
    from protopi.flash.source import Source
    from protopi.flash.target import Target

#: The device itself is not there any more: none of these is about one block.
_GONE = {errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.ESHUTDOWN}


class Cause(enum.Enum):
    """What is the likelier cause, in the words of the report."""

    CARD = "likelier the card: try another one"
    WAY = "likelier the reader, its cable or its contacts: put the card in again, try another port or reader"
    CAPACITY = "the card has not the capacity that it states (a counterfeit, or a dying one): use another one"
    HOST = "this computer: no room there, or its own disk fails"
    IMAGE = "the image changed while it was written, or this computer's memory errs: build it again, and flash again"


class Fault(InfraError):
    """A card that does not hold what it should; `offset` is the byte where it begins, `cause` the likelier cause."""

    def __init__(self, message: str, cause: Cause, offset: int) -> None:
        super().__init__(
            f"{message}\n    cause: {cause.value}",
            hint=""
            if cause is Cause.HOST
            else "unless nothing was written yet the card does not boot now; flash it again",
        )
        self.cause, self.offset = cause, offset


def place(offset: int) -> str:
    """A byte of a card, as a person (and badblocks) names it."""
    return f"block {offset // BLOCK} (byte {offset}, sector {offset // SECTOR})"


def _answers(target: Target) -> bool:
    """Whether the device is still there: its first block can be read."""
    try:
        target.read(0, buffer(BLOCK))
    except OSError:
        return False
    return True


def of_error(target: Target, doing: str, offset: int, error: OSError) -> Fault:
    """The fault behind an error that the device reported while `doing` ("written") something from `offset` on."""
    if not target.device:
        return Fault(f"{target.name}: byte {offset} could not be {doing}: {error.strerror}", Cause.HOST, offset)
    gone = error.errno in _GONE or not _answers(target)
    cause = Cause.WAY if gone else Cause.CAPACITY if error.errno == errno.ENOSPC else Cause.CARD
    what = "the device went away" if gone else error.strerror or "input/output error"
    return Fault(f"{target.name}: {place(offset)} could not be {doing}: {what}", cause, offset)


def of_end(target: Target, error: OSError) -> Fault:
    """The fault behind an error in the last MiB: if the device is still there, it is shorter than it says."""
    plain = of_error(target, "used", target.size - BLOCK, error)
    if plain.cause is not Cause.CARD:
        return plain
    message = f"{target.name}: it states {target.size} bytes, but its end cannot be used: {error.strerror}"
    return Fault(message, Cause.CAPACITY, target.size - BLOCK)


def find_unreadable(target: Target, offset: int, length: int) -> int:
    """The first block of a piece that cannot be read; the piece's own offset when all can be by now."""
    memory = buffer(BLOCK)
    for at in range(offset, offset + length, BLOCK):
        try:
            target.read(at, memory[: min(BLOCK, offset + length - at)])
        except OSError:
            return at
    return offset


def of_difference(target: Target, source: Source, offset: int, first: memoryview) -> Fault:
    """The fault behind a piece that did not read back as written; `first` is what was read.

    The first bad block is read twice more. Different answers mean that the way to the card errs; the same wrong answer
    three times means that the card holds it.
    """
    expected = buffer(len(first))
    source.read(offset, expected)
    if not offset:
        expected[:SECTOR] = bytes(SECTOR)  # it is written last
    bad = [at for at in range(0, len(first), BLOCK) if first[at : at + BLOCK] != expected[at : at + BLOCK]]
    if not bad:
        return Fault(f"{target.name}: the piece from {place(offset)} on does not match its sum", Cause.IMAGE, offset)
    at = bad[0]
    length = min(BLOCK, len(first) - at)
    want, was = bytes(expected[at : at + length]), bytes(first[at : at + length])
    again = []
    for _ in range(2):
        memory = buffer(length)
        try:
            target.read(offset + at, memory)
        except OSError as error:
            return of_error(target, "read again", offset + at, error)
        again.append(bytes(memory))
    stable = again[0] == again[1] == was
    bits = (int.from_bytes(want, "little") ^ int.from_bytes(was, "little")).bit_count()
    what = "it reads as zeros" if not any(was) else f"{bits} of {8 * length} bits differ"
    how = "the same in each of three readings" if stable else "and other readings of it say something else"
    more = f"; {len(bad) - 1} more blocks of this piece are wrong" if len(bad) > 1 else ""
    return Fault(
        f"{target.name}: {place(offset + at)} is not what was written: {what}, {how}{more}",
        Cause.CARD if stable else Cause.WAY,
        offset + at,
    )
