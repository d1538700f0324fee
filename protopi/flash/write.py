# SPDX-License-Identifier: MIT
"""Writes an image to a card so that a card which boots is a whole one.

1. The first block is cleared, flushed and read back: from here on the card does not boot. Nothing else was touched yet,
   so a cut before this moment leaves the old card whole.
2. What else could be found of an old system goes: both GPTs, and the first MiB of each old partition.
3. Marks tell whether the card has the capacity that it states.
4. Every mapped block is written, except the first sector, which stays clear. Flush.
5. Everything is read back and compared by its hash with what the image holds.
6. Only then the first sector is written, flushed and read back. It is one sector: it is there or it is not.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi import mbr
from protopi.bmap import BLOCK
from protopi.errors import UserError
from protopi.flash import capacity
from protopi.flash.fault import Cause, Fault, find_unreadable, of_difference, of_end, of_error
from protopi.flash.source import PIECE, Source
from protopi.flash.target import Target, buffer
from protopi.mbr import SECTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MIB = 1 << 20
#: A GPT has 128 entries of 128 bytes; a damaged one must not keep us busy.
_GPT_ENTRIES, _GPT_BYTES = 256, 4096


@dataclass(frozen=True, slots=True)
class Written:
    """How much was written, and how long writing (with its flush) and reading back took, in seconds."""

    bytes: int
    write_seconds: float
    read_seconds: float


def write(
    target: Target,
    source: Source,
    digests: Mapping[int, bytes],
    progress: Callable[[str, int, int], None],
    old: Iterable[tuple[int, int]] = (),
) -> Written:
    """Write `source`, whose `check` gave `digests`, and prove it. `old`: extents of partitions that the kernel knows.

    Raises Fault; the card does not boot then. The same goes for an interruption.
    """
    marks = None
    if target.device:
        invalidate(target, old)
        marks = capacity.put(target)
    start = time.monotonic()
    _write_all(target, source, progress)
    written = time.monotonic()
    _read_all(target, source, digests, progress)
    if marks:
        capacity.check(target, marks, source.ranges)
    read = time.monotonic()
    _write_first(target, source)
    return Written(source.total, written - start, read - written)


# --- before --------------------------------------------------------------------------------------------------------


def invalidate(target: Target, old: Iterable[tuple[int, int]] = ()) -> None:
    """Make the card one that holds nothing. Raises Fault."""
    extents = [*old, *_old_extents(target)]
    _zero(target, 0, BLOCK)
    _flush(target)
    first = buffer(BLOCK)
    try:
        target.read(0, first)
    except OSError as error:
        raise of_error(target, "read", 0, error) from error
    if any(first):
        # What a worn-out card does: it takes writes and keeps none.
        raise Fault(f"{target.name}: its first block keeps its old content: nothing can be written", Cause.CARD, 0)
    _zero(target, BLOCK, _MIB - BLOCK)
    _zero(target, max(target.size - _MIB, 0) // SECTOR * SECTOR, _MIB)
    for offset, length in sorted(set(extents)):
        _zero(target, offset, min(length, _MIB))
    _flush(target)


def _old_extents(target: Target) -> list[tuple[int, int]]:
    """Where partitions lie by the tables on the card itself; a table that makes no sense names none."""
    memory = buffer(max(_GPT_BYTES, _GPT_ENTRIES * 128))

    def read(offset: int, length: int) -> bytes:
        if offset < 0 or offset + length > target.size:
            return b""
        piece = memory[: -(-length // SECTOR) * SECTOR]
        try:
            target.read(offset, piece)
        except OSError as error:
            raise _fault(target, "read", offset, error) from error
        return bytes(piece[:length])

    found: list[tuple[int, int]] = []
    try:
        found += [(part.offset, part.size) for part in mbr.parse(read)[1]]
    except UserError:
        found = []
    for header in (SECTOR, target.size - SECTOR):
        found += _gpt(read, header)
    return [(offset, length) for offset, length in found if 0 < offset < target.size and length > 0]


def _gpt(read: Callable[[int, int], bytes], header: int) -> list[tuple[int, int]]:
    """The extents of a GPT (UEFI specification, 5.3.2 and 5.3.3)."""
    raw = read(header, SECTOR)
    if raw[:8] != b"EFI PART":
        return []
    first, count, size = struct.unpack_from("<QII", raw, 72)
    if not (128 <= size <= _GPT_BYTES and count * size <= _GPT_ENTRIES * 128):
        return []
    table = read(first * SECTOR, count * size)
    found = []
    for at in range(0, len(table) - 47, size):
        kind = table[at : at + 16]
        start, last = struct.unpack_from("<QQ", table, at + 32)
        if any(kind) and last >= start:
            found.append((start * SECTOR, (last - start + 1) * SECTOR))
    return found


def _zero(target: Target, offset: int, length: int) -> None:
    length = min(length, target.size - offset) // SECTOR * SECTOR
    if length <= 0:
        return
    try:
        target.write(offset, buffer(length))
    except OSError as error:
        raise _fault(target, "cleared", offset, error) from error


def _fault(target: Target, doing: str, offset: int, error: OSError) -> Fault:
    return of_end(target, error) if offset >= target.size - _MIB else of_error(target, doing, offset, error)


def _flush(target: Target) -> None:
    try:
        target.flush()
    except OSError as error:
        raise of_error(target, "flushed", 0, error) from error


# --- the image -----------------------------------------------------------------------------------------------------


def _write_all(target: Target, source: Source, progress: Callable[[str, int, int], None]) -> None:
    memory, done = buffer(PIECE), 0
    for offset, length in source.pieces():
        piece = memory[:length]
        source.read(offset, piece)
        if not offset:
            piece[:SECTOR] = bytes(SECTOR)
        try:
            target.write(offset, piece)
        except OSError as error:
            raise of_error(target, "written", offset, error) from error
        done += length
        progress("write", done, source.total)
    _flush(target)


def _read_all(
    target: Target, source: Source, digests: Mapping[int, bytes], progress: Callable[[str, int, int], None]
) -> None:
    memory, done = buffer(PIECE), 0
    sector = buffer(SECTOR)
    source.read(0, sector)
    for offset, length in source.pieces():
        piece = memory[:length]
        try:
            target.read(offset, piece)
        except OSError as error:
            raise of_error(target, "read back", find_unreadable(target, offset, length), error) from error
        digest = hashlib.sha256()
        if offset:
            digest.update(piece)
        elif any(piece[:SECTOR]):
            raise of_difference(target, source, offset, piece)
        else:
            digest.update(sector)
            digest.update(piece[SECTOR:])
        if digest.digest() != digests[offset]:
            raise of_difference(target, source, offset, piece)
        done += length
        progress("read back", done, source.total)


def _write_first(target: Target, source: Source) -> None:
    sector, found = buffer(SECTOR), buffer(SECTOR)
    source.read(0, sector)
    try:
        target.write(0, sector)
        target.flush()
        target.read(0, found)
    except OSError as error:
        raise of_error(target, "written", 0, error) from error
    if found != sector:
        raise Fault(f"{target.name}: its first sector is not what was written", Cause.CARD, 0)


# --- a stream ------------------------------------------------------------------------------------------------------


def stream(
    descriptor: int, source: Source, digests: Mapping[int, bytes], progress: Callable[[str, int, int], None]
) -> None:
    """Write the whole image to a pipe, gaps as zeros. Nothing can be read back, and the first sector comes first.

    Raises UserError when the image changed on the way.
    """
    memory, zeros, at = buffer(PIECE), memoryview(bytes(PIECE)), 0

    def put(data: memoryview) -> None:
        nonlocal at
        at += len(data)
        while data:
            data = data[os.write(descriptor, data) :]
        progress("write", at, source.size)

    def gap(end: int) -> None:
        while at < end:
            put(zeros[: min(PIECE, end - at)])

    for offset, length in source.pieces():
        gap(offset)
        source.read(offset, memory[:length])
        if hashlib.sha256(memory[:length]).digest() != digests[offset]:
            raise UserError(f"{source.image} changed while it was read", hint="flash it again")
        put(memory[:length])
    gap(source.size)
