# SPDX-License-Identifier: MIT
"""The classic PC partition table (MBR), with logical partitions in a chain of extended boot records (EBR).

Sizes and positions are in sectors of 512 bytes. Logical partitions are numbered from 5 on, as Linux numbers them,
so `root=PARTUUID=<disk id>-05` is the first of them.
Source: the layout that Linux reads in block/partitions/msdos.c; CHS fields are left at their "use LBA" value.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protopi.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SECTOR = 512
TYPE_FAT16_LBA, TYPE_FAT32_LBA, TYPE_EXTENDED, TYPE_LINUX = 0x0E, 0x0C, 0x0F, 0x83
_EXTENDED_TYPES = (0x05, 0x0F, 0x85)
_SIGNATURE = b"\x55\xaa"
_CHS_LBA = b"\xfe\xff\xff"
_MAX_LOGICAL = 60  # as many as Linux takes by default on an mmcblk; also ends a chain that loops


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: its Linux number, type byte, first sector and length in sectors."""

    number: int
    type: int
    start: int
    sectors: int
    bootable: bool = False

    @property
    def offset(self) -> int:
        """Where it begins in the image, in bytes."""
        return self.start * SECTOR

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.sectors * SECTOR


def disk_id(*parts: str) -> int:
    """A disk id (32 bits, never 0) that follows from what goes into the image, so that it is the same every time."""
    digest = hashlib.sha256("\0".join(("protopi disk", *parts)).encode()).digest()
    return int.from_bytes(digest[:4], "little") or 1


def partuuid(disk: int, number: int) -> str:
    """The PARTUUID that Linux gives to partition `number` of the disk with this id."""
    return f"{disk:08x}-{number:02x}"


def _entry(type_: int, start: int, sectors: int, bootable: bool = False) -> bytes:
    return struct.pack("<B3sB3sII", 0x80 if bootable else 0, _CHS_LBA, type_, _CHS_LBA, start, sectors)


def _record(entries: Sequence[bytes], disk: int = 0) -> bytes:
    table = b"".join(entries).ljust(64, b"\0")
    return bytes(440) + struct.pack("<IH", disk, 0) + table + _SIGNATURE


def make(disk: int, partitions: Iterable[Partition]) -> dict[int, bytes]:
    """The records of a partition table: sector number -> 512 bytes (sector 0 is the MBR, the others are EBRs).

    Partitions 1 to 3 are primary, those from 5 on logical, in order of number and position; each logical one needs
    one free sector before it, which holds its record (it is put right before the partition's own alignment gap:
    at `start` - 1 MiB where that is free, else at `start` - 1). Raises ValueError on an impossible table.
    """
    parts = sorted(partitions, key=lambda p: p.number)
    primary = [p for p in parts if p.number <= 4]
    logical = [p for p in parts if p.number >= 5]
    if any(p.number < 1 for p in parts) or len({p.number for p in parts}) != len(parts):
        raise ValueError("partition numbers must differ and begin at 1")
    end = 1
    for part in sorted(parts, key=lambda p: p.start):
        if part.start < end or part.sectors < 1:
            raise ValueError(f"partition {part.number} begins inside its neighbour, or is empty")
        end = part.start + part.sectors
    entries = [bytes(16)] * 4
    for part in primary:
        if part.number == 4 and logical:
            raise ValueError("number 4 is the extended partition")
        entries[part.number - 1] = _entry(part.type, part.start, part.sectors, part.bootable)
    records: dict[int, bytes] = {}
    if logical:
        if [p.number for p in logical] != list(range(5, 5 + len(logical))):
            raise ValueError("logical partitions are numbered 5, 6, 7 ... without gaps")
        used = sorted((p.start, p.start + p.sectors) for p in parts)
        places = [_record_place(p, used) for p in logical]
        first, last = places[0], logical[-1].start + logical[-1].sectors
        entries[3] = _entry(TYPE_EXTENDED, first, last - first)
        for index, (part, place) in enumerate(zip(logical, places, strict=True)):
            row = [_entry(part.type, part.start - place, part.sectors)]
            if index + 1 < len(logical):
                following = logical[index + 1]
                ahead = places[index + 1]
                row.append(_entry(0x05, ahead - first, following.start + following.sectors - ahead))
            records[place] = _record(row)
    records[0] = _record(entries, disk)
    return dict(sorted(records.items()))


def _record_place(part: Partition, used: Sequence[tuple[int, int]]) -> int:
    before = max((end for _, end in used if end <= part.start), default=1)
    place = max(before, part.start - 2048)
    if place >= part.start:
        raise ValueError(f"no free sector before partition {part.number} for its record")
    return place


def parse(read: Callable[[int, int], bytes]) -> tuple[int, tuple[Partition, ...]]:
    """Read a partition table: the disk id and its partitions, without the extended one.

    `read(offset, length)` gives bytes of the disk. Raises UserError when there is no valid table.
    """
    mbr = read(0, SECTOR)
    if len(mbr) != SECTOR or mbr[510:] != _SIGNATURE:
        raise UserError("no partition table: sector 0 does not end in 55 aa")
    disk = int.from_bytes(mbr[440:444], "little")
    found: list[Partition] = []
    for index in range(4):
        kind, start, sectors, boot = _fields(mbr, index)
        if not kind or not sectors:
            continue
        if kind in _EXTENDED_TYPES:
            found += _logical(read, start)
        else:
            found.append(Partition(index + 1, kind, start, sectors, boot))
    return disk, tuple(sorted(found, key=lambda p: p.number))


def _fields(record: bytes, index: int) -> tuple[int, int, int, bool]:
    boot, _, kind, _, start, sectors = struct.unpack_from("<B3sB3sII", record, 446 + 16 * index)
    return kind, start, sectors, boot == 0x80


def _logical(read: Callable[[int, int], bytes], first: int) -> list[Partition]:
    found: list[Partition] = []
    place = first
    seen: set[int] = set()
    while len(found) < _MAX_LOGICAL:
        if place in seen:
            raise UserError(f"the chain of logical partitions loops at sector {place}")
        seen.add(place)
        record = read(place * SECTOR, SECTOR)
        if len(record) != SECTOR or record[510:] != _SIGNATURE:
            raise UserError(f"broken chain of logical partitions: sector {place} does not end in 55 aa")
        kind, start, sectors, boot = _fields(record, 0)
        if kind and sectors:
            found.append(Partition(5 + len(found), kind, place + start, sectors, boot))
        kind, ahead, sectors, _ = _fields(record, 1)
        if kind not in _EXTENDED_TYPES or not sectors:
            break
        place = first + ahead
    return found
